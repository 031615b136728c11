// What the sample types mean, for people. No DOM here.

/** @type {Record<string, [string, string]>} a name, and what is counted */
const KINDS = {
  cpu: ['CPU time', 'Time on a CPU, in the programs and in the kernel on their behalf.'],
  samples: ['samples', 'How often the profiler’s clock found it running.'],
  wall: ['time', 'Time that passed, running or waiting.'],
  off_cpu: ['time off CPU', 'Time in which threads waited: for locks, disks, networks, or their turn.'],
  alloc_space: ['allocated', 'All that was allocated while recorded, freed since or not: where the allocator’s work comes from.'],
  alloc_objects: ['allocations', 'How many objects were allocated while recorded, freed since or not.'],
  inuse_space: ['in use', 'Allocated while recorded and not freed at the end. Growth here may be a leak, or a cache.'],
  inuse_objects: ['objects in use', 'How many objects were allocated while recorded and not freed at the end.'],
  growth_space: ['growth', 'Memory first touched while recorded, by the code that touched it first. What was given back since is not taken off.'],
  resident_space: ['resident', 'What of that the processes still had at the end. Growth here may be a leak, or a cache.'],
  flame_cpu: ['flame’s own cost', 'CPU time in the traps of flame’s heap probes. It is in no other number.'],
  peak_space: ['at the peak', 'In use at the moment when all that was in use was at its largest.'],
  peak_objects: ['objects at the peak', 'Objects in use at the moment when all that was in use was at its largest.'],
};

/**
 * The name of a sample type.
 * @param {import('./model.js').SampleType} type
 */
export function typeName({ kind, unit }) {
  if (Object.hasOwn(KINDS, kind)) return KINDS[kind][0];
  return unit === 'count' ? kind : `${kind} (${unit})`;
}

/**
 * What a sample type means; empty if flame does not know it.
 * @param {import('./model.js').SampleType} type
 */
export function typeMeaning({ kind }) {
  return Object.hasOwn(KINDS, kind) ? KINDS[kind][1] : '';
}
