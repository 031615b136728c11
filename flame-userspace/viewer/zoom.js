// The views that a reader went through, in the browser's history, so that its Back button works.

export class ZoomHistory {
  /**
   * @param {string} profile what tells this profile's views from those of another in the same tab
   * @param {number} count the number of nodes
   * @param {(node: number) => void} onChange
   */
  constructor(profile, count, onChange) {
    this.profile = profile;
    this.count = count;
    this.onChange = onChange;
    /** Where the browser keeps no history for the page (in some frames), we do. */
    /** @type {{node: number, depth: number}[]} */
    this.kept = [];
    this.current = this.#read(history.state);
    window.addEventListener('popstate', (event) => {
      this.current = this.#read(event.state);
      onChange(this.current.node);
    });
  }

  /**
   * @param {any} state
   * @returns {{node: number, depth: number}}
   */
  #read(state) {
    const ours = state?.flame === this.profile && state.node < this.count;
    return ours ? { node: state.node, depth: state.depth } : { node: 0, depth: 0 };
  }

  /** Whether there is a view to go back to. */
  get canGoBack() {
    return this.current.depth > 0;
  }

  /** @param {number} node */
  go(node) {
    if (node === this.current.node) return;
    const before = this.current;
    this.current = { node, depth: before.depth + 1 };
    try {
      history.pushState({ flame: this.profile, ...this.current }, '');
    } catch {
      this.kept.push(before);
    }
    this.onChange(node);
  }

  back() {
    const kept = this.kept.pop();
    if (kept) {
      this.current = kept;
      this.onChange(kept.node);
    } else if (this.canGoBack) {
      history.back();
    }
  }
}
