/* Every invariant of the memtable, asserted over the whole tree. Slow; for tests. */
#include "base/assert.h"
#include "store/memtable_private.h"

/* What the walk has seen so far. */
struct walk {
	const struct pd_memtable *table;
	uint64_t count;
	/* By level: the node that the `next` of the last one promises. */
	const struct pd_node *expected[PD_MEMTABLE_DEPTH_MAX];
};

static void check_keys(const struct pd_node *node)
{
	unsigned first = pd_node_first(node);
	struct pd_slice prefix;

	if (first == node->count)
		return;
	prefix = pd_slice(pd_node_key(node, first).data, node->prefix_size);
	PD_ASSERT(pd_slice_starts_with(prefix, pd_slice(node->prefix, prefix.size < PD_NODE_PREFIX_INLINE
									      ? prefix.size
									      : PD_NODE_PREFIX_INLINE)));
	for (unsigned i = first; i < node->count; i++) {
		struct pd_slice key = pd_node_key(node, i);

		PD_ASSERT(pd_slice_starts_with(key, prefix));
		PD_ASSERT(node->heads[i] == pd_node_head(key, node->prefix_size));
		PD_ASSERT(pd_node_necks_const(node)[i] == pd_node_neck(key, node->prefix_size));
		if (i > first) {
			PD_ASSERT(pd_slice_compare(pd_node_key(node, i - 1), key) < 0);
			PD_ASSERT(node->heads[i - 1] <= node->heads[i]);
			PD_ASSERT(node->heads[i - 1] < node->heads[i] ||
				  pd_node_necks_const(node)[i - 1] <= pd_node_necks_const(node)[i]);
		}
	}
}

/* `smallest` is what the parent takes for the smallest entry here, NULL in the leftmost nodes; all keys are
 * below `limit`. */
static void check_node(struct walk *walk, const struct pd_node *node, const uint8_t *smallest,
		       const uint8_t *limit)
{
	const struct pd_slot *slots = pd_node_slots_const(node);
	bool root = node == walk->table->root;

	PD_ASSERT(root || node == walk->expected[node->level]);
	walk->expected[node->level] = node->next;
	PD_ASSERT(node->count <= node->capacity && node->capacity <= PD_NODE_SLOTS);
	PD_ASSERT(node->capacity == PD_NODE_SLOTS || (root && node->level == 0));
	check_keys(node);
	if (limit != NULL && node->count > pd_node_first(node))
		PD_ASSERT(pd_slice_compare(pd_node_key(node, node->count - 1u), pd_entry_key(limit)) < 0);
	if (node->level == 0) {
		PD_ASSERT(node->count > 0 || root);
		PD_ASSERT(smallest == NULL || slots[0].entry == smallest);
		walk->count += node->count;
		return;
	}
	PD_ASSERT(node->count >= 2 && slots[0].entry == NULL);
	for (unsigned i = 0; i < node->count; i++) {
		PD_ASSERT(slots[i].child->level + 1 == node->level);
		check_node(walk, slots[i].child, i == 0 ? smallest : slots[i].entry,
			   i + 1 < node->count ? slots[i + 1].entry : limit);
	}
}

void pd_memtable_check(const struct pd_memtable *table)
{
	struct walk walk = { .table = table };

	if (table->root != NULL) {
		const struct pd_node *node = table->root;

		for (;;) {
			walk.expected[node->level] = node;
			PD_ASSERT(node->level < PD_MEMTABLE_DEPTH_MAX);
			if (node->level == 0)
				break;
			node = pd_node_slots_const(node)[0].child;
		}
		check_node(&walk, table->root, NULL, NULL);
		for (unsigned level = 0; level <= table->root->level; level++)
			PD_ASSERT(walk.expected[level] == NULL);
	}
	PD_ASSERT(walk.count == table->count);
}
