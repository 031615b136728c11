//! Where the boxes of a flamegraph lie.

use std::cmp::Reverse;

use crate::profile::tree::CallTree;

/// A frame's box, `level` rows below the root's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FrameBox {
    /// The row of the tree's nodes; `None` for the root, of all samples.
    pub(super) node: Option<u32>,
    pub(super) level: usize,
    pub(super) x: f64,
    pub(super) width: f64,
}

/// The boxes of `tree` in a drawing of this width, callers before callees, without those that are
/// narrower than `narrowest`. A value below zero takes no width.
pub(super) fn lay_out(tree: &CallTree, width: f64, narrowest: f64) -> Vec<FrameBox> {
    let root = FrameBox { node: None, level: 0, x: 0.0, width };
    let mut boxes = vec![root];
    if tree.total <= 0 {
        return boxes;
    }
    let scale = width / tree.total as f64;
    let children = children(tree);
    let mut next = 0;
    while next < boxes.len() {
        let caller = boxes[next];
        next += 1;
        let row = caller.node.map_or(0, |node| node as usize + 1);
        let mut x = caller.x;
        let mut below = children[row].clone();
        below.sort_by_key(|node| Reverse(tree.nodes[*node as usize].total));
        for node in below {
            // Of values below zero elsewhere, callees may be worth more than their caller.
            let left = caller.x + caller.width - x;
            let width = (tree.nodes[node as usize].total as f64 * scale).min(left);
            if width < narrowest {
                break;
            }
            boxes.push(FrameBox { node: Some(node), level: caller.level + 1, x, width });
            x += width;
        }
    }
    boxes
}

/// The callees of the root and then of each node.
fn children(tree: &CallTree) -> Vec<Vec<u32>> {
    let mut children = vec![Vec::new(); tree.nodes.len() + 1];
    for (row, node) in (0..).zip(&tree.nodes) {
        children[node.parent.map_or(0, |parent| parent as usize + 1)].push(row);
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::tree::Node;

    fn tree(nodes: &[(Option<u32>, i64)]) -> CallTree {
        let node = |&(parent, total)| Node { parent, frame: 0, self_value: 0, total, line: 0 };
        CallTree { frames: Vec::new(), nodes: nodes.iter().map(node).collect(), total: 100 }
    }

    #[test]
    fn callees_lie_within_their_caller_heaviest_first() {
        let tree = tree(&[(None, 20), (None, 70), (Some(1), 30), (Some(1), 40)]);
        let boxes = lay_out(&tree, 1000.0, 0.5);
        let places: Vec<_> = boxes.iter().map(|b| (b.node, b.level, b.x, b.width)).collect();
        assert_eq!(
            places,
            [
                (None, 0, 0.0, 1000.0),
                (Some(1), 1, 0.0, 700.0),
                (Some(0), 1, 700.0, 200.0),
                (Some(3), 2, 0.0, 400.0),
                (Some(2), 2, 400.0, 300.0),
            ]
        );
    }

    #[test]
    fn narrow_boxes_are_left_out_with_all_below_them() {
        let tree = tree(&[(None, 99), (None, 1), (Some(1), 1)]);
        assert_eq!(lay_out(&tree, 100.0, 2.0).len(), 2);
        assert_eq!(lay_out(&tree, 100.0, 1.0).len(), 4);
    }

    #[test]
    fn values_that_do_not_add_up_stay_within_the_drawing() {
        let tree = tree(&[(None, i64::MAX), (None, 50), (None, -50), (Some(0), i64::MIN)]);
        let boxes = lay_out(&tree, 100.0, 0.5);
        assert!(boxes.iter().all(|b| b.x >= 0.0 && b.x + b.width <= 100.0));
        assert_eq!(boxes.len(), 2);
        assert_eq!(lay_out(&CallTree::default(), 100.0, 0.5).len(), 1);
    }
}
