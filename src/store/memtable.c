#include "store/memtable.h"

#include <string.h>

#include "base/assert.h"
#include "store/arena.h"
#include "store/memtable_private.h"

#define SCAN_AHEAD 16 /* entries that a scan asks memory for before it needs them */

/* The way from the root to a leaf, by level (0: the leaf), with the slot taken in each node. */
struct path {
	struct {
		struct pd_node *node;
		unsigned slot;
	} steps[PD_MEMTABLE_DEPTH_MAX];
};

/* memcmp() wants a pointer even for no bytes. */
static inline struct pd_slice key_of_caller(struct pd_slice key)
{
	return key.size > 0 ? key : pd_slice("", 0);
}

static struct pd_node *node_new(struct pd_memtable *table, unsigned capacity, unsigned level)
{
	struct pd_node *node = pd_arena_alloc(table->arena, pd_node_size(capacity));

	if (node != NULL)
		pd_node_init(node, capacity, level);
	return node;
}

static void node_free(struct pd_memtable *table, struct pd_node *node)
{
	pd_arena_release(table->arena, node, pd_node_size(node->capacity));
}

/* Another capacity for the only leaf. */
static int root_resize(struct pd_memtable *table, unsigned capacity)
{
	struct pd_node *leaf = node_new(table, capacity, 0);

	if (leaf == NULL)
		return PD_NO_MEMORY;
	if (table->root != NULL) {
		pd_node_copy(table->root, leaf);
		node_free(table, table->root);
	}
	table->root = leaf;
	return 0;
}

void pd_memtable_init(struct pd_memtable *table, struct pd_arena *arena)
{
	*table = (struct pd_memtable){ .arena = arena };
}

struct pd_memtable *pd_memtable_new(struct pd_arena *arena)
{
	struct pd_memtable *table = pd_arena_alloc(arena, sizeof *table);

	if (table != NULL)
		pd_memtable_init(table, arena);
	return table;
}

/* Every node, level by level: its bytes; and with `free`, back to the arena. */
static size_t walk_nodes(struct pd_memtable *table, bool free)
{
	struct pd_node *level = table->root;
	size_t bytes = 0;

	while (level != NULL) {
		struct pd_node *node = level;

		level = node->level > 0 ? pd_node_slots(node)[0].child : NULL;
		while (node != NULL) {
			struct pd_node *next = node->next;

			bytes += pd_node_size(node->capacity);
			if (free)
				node_free(table, node);
			node = next;
		}
	}
	return bytes;
}

void pd_memtable_free(struct pd_memtable *table)
{
	if (table == NULL)
		return;
	(void)walk_nodes(table, true);
	pd_arena_release(table->arena, table, sizeof *table);
}

uint64_t pd_memtable_count(const struct pd_memtable *table)
{
	return table->count;
}

size_t pd_memtable_bytes(const struct pd_memtable *table)
{
	return walk_nodes((struct pd_memtable *)(uintptr_t)table, false);
}

static inline struct pd_node *child_of(const struct pd_node *node, struct pd_slice key, unsigned *ret_slot)
{
	struct pd_node_place place = pd_node_search(node, key);
	struct pd_node *child;

	*ret_slot = place.found ? place.slot : place.slot - 1;
	child = pd_node_slots_const(node)[*ret_slot].child;
	pd_node_prefetch(child);
	return child;
}

/* The leaf where the key is or belongs. The table is not empty. */
static const struct pd_node *leaf_of(const struct pd_memtable *table, struct pd_slice key)
{
	const struct pd_node *node = table->root;
	unsigned slot;

	while (node->level > 0)
		node = child_of(node, key, &slot);
	return node;
}

/* The same, remembering the way. */
static struct pd_node *leaf_of_with_path(const struct pd_memtable *table, struct pd_slice key,
					 struct path *ret_path)
{
	struct pd_node *node = table->root;

	while (node->level > 0) {
		unsigned level = node->level;

		ret_path->steps[level].node = node;
		node = child_of(node, key, &ret_path->steps[level].slot);
	}
	ret_path->steps[0].node = node;
	return node;
}

struct pd_slot *pd_memtable_find(const struct pd_memtable *table, struct pd_slice key)
{
	const struct pd_node *leaf;
	unsigned slot;

	if (table->root == NULL)
		return NULL;
	key = key_of_caller(key);
	leaf = leaf_of(table, key);
	return pd_node_find(leaf, key, &slot) ? pd_node_slots((struct pd_node *)(uintptr_t)leaf) + slot
					      : NULL;
}

bool pd_memtable_get(const struct pd_memtable *table, struct pd_slice key, struct pd_entry *ret_entry)
{
	const struct pd_slot *slot = pd_memtable_find(table, key);

	if (slot == NULL)
		return false;
	pd_entry_read(slot->entry, slot->lsn, ret_entry);
	return true;
}

/* The smallest entry of the leaf is another one: correct the one separator that points to it, in the nearest
 * inner node that was not left through its first slot. Levels below `level` are in order already. */
static void set_smallest(const struct pd_memtable *table, struct path *path, unsigned level,
			 const uint8_t *entry)
{
	for (; level <= table->root->level; level++) {
		if (path->steps[level].slot > 0) {
			pd_node_set_entry(path->steps[level].node, path->steps[level].slot, entry);
			return;
		}
	}
}

/* So many new nodes, linked by `next`. NULL: out of memory. */
static struct pd_node *spares_new(struct pd_memtable *table, unsigned count)
{
	struct pd_node *spares = NULL;

	for (; count > 0; count--) {
		struct pd_node *spare = node_new(table, PD_NODE_SLOTS, 0);

		if (spare == NULL)
			break;
		spare->next = spares;
		spares = spare;
	}
	while (count > 0 && spares != NULL) {
		struct pd_node *spare = spares;

		spares = spare->next;
		node_free(table, spare);
	}
	return spares;
}

static struct pd_node *spare_take(struct pd_node **spares)
{
	struct pd_node *spare = *spares;

	PD_ASSERT(spare != NULL);
	*spares = spare->next;
	return spare;
}

/* Insert into a full leaf. All memory is there before anything changes. */
static int insert_with_split(struct pd_memtable *table, struct path *path, struct pd_slot new)
{
	unsigned height = table->root->level;
	struct pd_node *spares;
	unsigned level = 0;

	while (level <= height && path->steps[level].node->count == PD_NODE_SLOTS)
		level++;
	PD_ASSERT(height + 1u < PD_MEMTABLE_DEPTH_MAX);
	spares = spares_new(table, level + (level > height));
	if (spares == NULL)
		return PD_NO_MEMORY;
	for (level = 0;; level++) {
		struct pd_node *node = path->steps[level].node;
		unsigned slot = path->steps[level].slot + (level > 0);
		struct pd_node *right;

		if (node->count < PD_NODE_SLOTS) {
			pd_node_insert(node, slot, new);
			return 0;
		}
		right = spare_take(&spares);
		new.entry = pd_node_split(node, right, slot, new);
		new.child = right;
		if (level == height)
			break;
	}
	table->root = spare_take(&spares);
	pd_node_init(table->root, PD_NODE_SLOTS, height + 1);
	pd_node_slots(table->root)[0] = (struct pd_slot){ .child = path->steps[height].node };
	table->root->heads[0] = 0;
	table->root->count = 1;
	pd_node_insert(table->root, 1, new);
	return 0;
}

int pd_memtable_put(struct pd_memtable *table, const uint8_t *entry, uint64_t lsn, const uint8_t **ret_old,
		    uint64_t *ret_old_lsn)
{
	struct pd_slice key = pd_entry_key(entry);
	struct pd_slot new = { .entry = entry, .lsn = lsn };
	struct pd_node_place place;
	struct pd_node *leaf;
	struct path path;
	int code = 0;

	if (table->root == NULL) {
		code = root_resize(table, PD_NODE_SLOTS_FIRST);
		if (code != 0)
			return code;
	}
	leaf = leaf_of_with_path(table, key, &path);
	place = pd_node_search(leaf, key);
	if (place.found) {
		struct pd_slot *slot = pd_node_slots(leaf) + place.slot;

		*ret_old = slot->entry;
		*ret_old_lsn = slot->lsn;
		if (place.slot == 0)
			set_smallest(table, &path, 1, entry);
		slot->entry = entry;
		slot->lsn = (lsn & ~PD_SLOT_FRESH) | (slot->lsn & PD_SLOT_FRESH);
		return 0;
	}
	if (leaf->count < leaf->capacity) {
		pd_node_insert(leaf, place.slot, new);
	} else if (leaf->capacity < PD_NODE_SLOTS) {
		code = root_resize(table, leaf->capacity * 2u);
		if (code == 0)
			pd_node_insert(table->root, place.slot, new);
	} else {
		path.steps[0].slot = place.slot;
		code = insert_with_split(table, &path, new);
	}
	if (code != 0)
		return code;
	table->count++;
	*ret_old = NULL;
	return 0;
}

/* Node `level` of the path has become too empty, or its parent in turn: merge or share with a neighbour. */
static void rebalance(struct pd_memtable *table, struct path *path)
{
	for (unsigned level = 0; path->steps[level].node != table->root; level++) {
		struct pd_node *node = path->steps[level].node;
		struct pd_node *parent = path->steps[level + 1].node;
		unsigned own = path->steps[level + 1].slot;
		unsigned slot = own > 0 ? own : 1;
		struct pd_node *left = pd_node_slots(parent)[slot - 1].child;
		struct pd_node *right = pd_node_slots(parent)[slot].child;
		bool emptied = node->count == 0;
		bool merged;

		if (node->count >= PD_NODE_SLOTS_MIN)
			break;
		merged = pd_node_balance(parent, slot, left, right);
		/* An emptied first leaf could not name its smallest entry before it got some. */
		if (emptied && own == 0)
			set_smallest(table, path, 1, pd_node_slots(left)[0].entry);
		if (!merged)
			break;
		pd_node_remove(parent, slot);
		node_free(table, right);
	}
	if (table->root->level > 0 && table->root->count == 1) {
		struct pd_node *old = table->root;

		table->root = pd_node_slots(old)[0].child;
		node_free(table, old);
	}
}

/* Take a slot out of the leaf that the path leads to. */
static void remove_slot(struct pd_memtable *table, struct path *path, unsigned slot)
{
	struct pd_node *leaf = path->steps[0].node;

	pd_node_remove(leaf, slot);
	table->count--;
	if (leaf != table->root) {
		if (slot == 0 && leaf->count > 0)
			set_smallest(table, path, 1, pd_node_slots(leaf)[0].entry);
		if (leaf->count < PD_NODE_SLOTS_MIN)
			rebalance(table, path);
	} else if (table->count == 0) {
		node_free(table, leaf);
		table->root = NULL;
	} else if (leaf->capacity > PD_NODE_SLOTS_FIRST && leaf->count <= leaf->capacity / 4) {
		/* Give memory back where there is some to do it with; if not, the large leaf stays. */
		(void)!root_resize(table, leaf->capacity / 2u);
	}
}

const uint8_t *pd_memtable_delete(struct pd_memtable *table, struct pd_slice key, uint64_t *ret_old_lsn)
{
	const uint8_t *entry;
	struct pd_node *leaf;
	struct path path;
	unsigned slot;

	if (table->root == NULL)
		return NULL;
	key = key_of_caller(key);
	leaf = leaf_of_with_path(table, key, &path);
	if (!pd_node_find(leaf, key, &slot))
		return NULL;
	entry = pd_node_slots(leaf)[slot].entry;
	*ret_old_lsn = pd_node_slots(leaf)[slot].lsn;
	remove_slot(table, &path, slot);
	return entry;
}

const struct pd_slot *pd_memtable_purge(struct pd_memtable *table, const uint8_t *entry, bool *ret_gone)
{
	struct pd_slice key = pd_entry_key(entry);
	const struct pd_slot *found;
	struct pd_node *leaf;
	struct path path;
	unsigned slot;

	*ret_gone = false;
	if (table->root == NULL)
		return NULL;
	leaf = leaf_of_with_path(table, key, &path);
	if (!pd_node_find(leaf, key, &slot))
		return NULL;
	found = pd_node_slots(leaf) + slot;
	if (found->entry != entry || (found->lsn & PD_SLOT_DEAD) == 0)
		return NULL;
	if ((found->lsn & PD_SLOT_FRESH) == 0)
		return found;
	remove_slot(table, &path, slot);
	*ret_gone = true;
	return NULL;
}

void pd_memtable_seek(const struct pd_memtable *table, struct pd_slice key,
		      struct pd_memtable_cursor *ret_cursor)
{
	const struct pd_node *leaf = NULL;
	unsigned slot = 0;

	if (table->root != NULL) {
		key = key_of_caller(key);
		leaf = leaf_of(table, key);
		slot = pd_node_search(leaf, key).slot;
	}
	*ret_cursor = (struct pd_memtable_cursor){ table, leaf, slot, 0 };
}

/* Entries lie anywhere in memory: ask for those that a scan will reach soon. At the start of a leaf its first
 * ones and the next leaf; then, with each step, one more ahead, on into the next leaf. */
PD_PREFETCH_INLINE void prefetch_ahead(const struct pd_node *leaf, unsigned slot)
{
	const struct pd_node *next = leaf->next;
	unsigned ahead = slot + SCAN_AHEAD;

	if (ahead < leaf->count) {
		__builtin_prefetch(pd_node_slots_const(leaf)[ahead].entry);
	} else if (next != NULL && ahead - leaf->count < next->count) {
		__builtin_prefetch(pd_node_slots_const(next)[ahead - leaf->count].entry);
	}
}

/* Before the first entry of a leaf: the slots of the one after it. */
PD_PREFETCH_INLINE void prefetch_next_leaf(const struct pd_node *leaf)
{
	const uint8_t *next = (const uint8_t *)leaf->next;

	if (next == NULL)
		return;
	__builtin_prefetch(next);
	for (size_t at = sizeof *leaf + PD_NODE_SLOTS * 2 * sizeof leaf->heads[0];
	     at < pd_node_size(PD_NODE_SLOTS); at += 64)
		__builtin_prefetch(next + at);
}

struct pd_slot *pd_memtable_walk(struct pd_memtable_cursor *cursor)
{
	const struct pd_node *leaf = cursor->leaf;

	while (leaf != NULL && cursor->slot >= leaf->count) {
		leaf = leaf->next;
		cursor->leaf = leaf;
		cursor->slot = 0;
	}
	if (leaf == NULL)
		return NULL;
	if (cursor->slot == 0)
		prefetch_next_leaf(leaf);
	prefetch_ahead(leaf, cursor->slot);
	return pd_node_slots((struct pd_node *)(uintptr_t)leaf) + cursor->slot++;
}

/* How many slots of the leaf are before the bound. */
static unsigned slots_below(const struct pd_node *leaf, struct pd_slice to)
{
	return to.size == 0 ? leaf->count : pd_node_search(leaf, to).slot;
}

void pd_memtable_seek_below(const struct pd_memtable *table, struct pd_slice from, struct pd_slice to,
			    struct pd_memtable_cursor *ret_cursor)
{
	pd_memtable_seek(table, from, ret_cursor);
	if (ret_cursor->leaf != NULL)
		ret_cursor->limit = slots_below(ret_cursor->leaf, to);
}

bool pd_memtable_next_below(struct pd_memtable_cursor *cursor, struct pd_slice to, struct pd_entry *ret_entry)
{
	const struct pd_node *leaf = cursor->leaf;
	const struct pd_slot *slot;

	if (leaf == NULL)
		return false;
	while (cursor->slot >= cursor->limit) {
		if (cursor->limit < leaf->count || leaf->next == NULL)
			return false;
		leaf = leaf->next;
		cursor->leaf = leaf;
		cursor->slot = 0;
		cursor->limit = slots_below(leaf, to);
	}
	if (cursor->slot == 0)
		prefetch_next_leaf(leaf);
	prefetch_ahead(leaf, cursor->slot);
	slot = pd_node_slots_const(leaf) + cursor->slot++;
	pd_entry_read(slot->entry, slot->lsn, ret_entry);
	return true;
}

bool pd_memtable_next(struct pd_memtable_cursor *cursor, struct pd_entry *ret_entry)
{
	const struct pd_slot *slot = pd_memtable_walk(cursor);

	if (slot == NULL)
		return false;
	pd_entry_read(slot->entry, slot->lsn, ret_entry);
	return true;
}
