/* One node of the B+tree: search, prefix and heads, split, balance. Knows nothing of allocation. */
#include "store/memtable_private.h"

#include <string.h>

#include "base/assert.h"

static size_t common_size(struct pd_slice a, struct pd_slice b)
{
	size_t shorter = a.size < b.size ? a.size : b.size;
	size_t i = 0;

	for (; i + 8 <= shorter; i += 8) {
		uint64_t difference = pd_load_u64(a.data + i) ^ pd_load_u64(b.data + i);

		if (difference != 0)
			return i + (size_t)__builtin_ctzll(difference) / 8;
	}
	while (i < shorter && a.data[i] == b.data[i])
		i++;
	return i;
}

/* Where the key stands to all keys of the node, as far as the prefix can tell: 0 means it has the prefix. */
static inline int prefix_order(const struct pd_node *node, struct pd_slice key)
{
	size_t size = node->prefix_size;
	size_t shorter = size < key.size ? size : key.size;
	size_t inlined = shorter < PD_NODE_PREFIX_INLINE ? shorter : PD_NODE_PREFIX_INLINE;
	int order;

	if (size == 0)
		return 0;
	order = memcmp(key.data, node->prefix, inlined);
	if (__builtin_expect(order == 0 && shorter > inlined, 0))
		order = memcmp(key.data + inlined, pd_node_key(node, pd_node_first(node)).data + inlined,
			       shorter - inlined);
	if (order == 0 && key.size < size)
		order = -1;
	return order;
}

/* How many heads are smaller. No branch depends on the data, so none can be mispredicted. */
static inline unsigned count_smaller(const uint64_t *heads, unsigned count, uint64_t head)
{
	const uint64_t *base = heads;

	if (count == 0)
		return 0;
	while (count > 1) {
		unsigned half = count / 2;

		base += half & -(unsigned)(base[half - 1] < head);
		count -= half;
	}
	return (unsigned)(base - heads) + (*base < head);
}

/* Among the slots from `low` on whose heads equal the key's: by necks, then by whole keys. */
static struct pd_node_place search_ties(const struct pd_node *node, struct pd_slice key, uint64_t head,
					unsigned low)
{
	const uint64_t *necks = pd_node_necks_const(node);
	uint64_t neck = pd_node_neck(key, node->prefix_size);
	unsigned high = node->count;

	if (head < UINT64_MAX)
		high = low + count_smaller(node->heads + low, high - low, head + 1);
	for (unsigned i = low; i < high && i < low + 16; i += 4) /* while the necks are on their way */
		__builtin_prefetch(pd_node_slots_const(node) + i);
	low += count_smaller(necks + low, high - low, neck);
	while (high > low && necks[high - 1] != neck)
		high--;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = pd_slice_compare(pd_node_key(node, middle), key);

		if (order == 0)
			return (struct pd_node_place){ middle, true };
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (struct pd_node_place){ low, false };
}

struct pd_node_place pd_node_search(const struct pd_node *node, struct pd_slice key)
{
	unsigned first = pd_node_first(node);
	int order = prefix_order(node, key);
	uint64_t head;
	unsigned slot;

	if (__builtin_expect(order != 0, 0))
		return (struct pd_node_place){ order < 0 ? first : node->count, false };
	head = pd_node_head(key, node->prefix_size);
	slot = first + count_smaller(node->heads + first, node->count - first, head);
	if (slot == node->count || node->heads[slot] != head)
		return (struct pd_node_place){ slot, false };
	return search_ties(node, key, head, slot);
}

/* Does not look at the prefix: a key that is here has it, and one that is not is caught by the comparison of
 * the whole key. */
bool pd_node_find(const struct pd_node *leaf, struct pd_slice key, unsigned *ret_slot)
{
	struct pd_node_place place;
	uint64_t head;
	unsigned slot;

	if (key.size < leaf->prefix_size)
		return false;
	head = pd_node_head(key, leaf->prefix_size);
	slot = count_smaller(leaf->heads, leaf->count, head);
	if (slot == leaf->count || leaf->heads[slot] != head)
		return false;
	if (slot + 1 == leaf->count || leaf->heads[slot + 1] != head) {
		if (!pd_slice_equal(pd_node_key(leaf, slot), key))
			return false;
		*ret_slot = slot;
		return true;
	}
	place = search_ties(leaf, key, head, slot);
	if (!place.found)
		return false;
	*ret_slot = place.slot;
	return true;
}

void pd_node_init(struct pd_node *node, unsigned capacity, unsigned level)
{
	memset(node, 0, sizeof *node);
	node->capacity = (uint8_t)capacity;
	node->level = (uint8_t)level;
}

static inline void set_head(struct pd_node *node, unsigned slot, struct pd_slice key)
{
	node->heads[slot] = pd_node_head(key, node->prefix_size);
	pd_node_necks(node)[slot] = pd_node_neck(key, node->prefix_size);
}

/* Strip `size` bytes, which all keys must share, and read all heads anew. */
static void set_prefix(struct pd_node *node, size_t size)
{
	unsigned first = pd_node_first(node);

	node->prefix_size = (uint16_t)size;
	if (first == node->count)
		return;
	memcpy(node->prefix, pd_node_key(node, first).data,
	       size < PD_NODE_PREFIX_INLINE ? size : PD_NODE_PREFIX_INLINE);
	for (unsigned i = first; i < node->count; i++)
		set_head(node, i, pd_node_key(node, i));
}

/* The most that the keys share is what the first and the last share. */
static size_t shared_size(const struct pd_node *node)
{
	unsigned first = pd_node_first(node);

	return first == node->count
		       ? 0
		       : common_size(pd_node_key(node, first), pd_node_key(node, node->count - 1u));
}

/* Lengthen the prefix after a split, but only when the heads tell the keys apart badly: to read all heads
 * anew touches every entry, and where heads differ early a longer prefix gains nothing. */
static void tighten(struct pd_node *node)
{
	unsigned first = pd_node_first(node);
	unsigned last = node->count - 1u;
	bool poor;
	size_t size;

	PD_ASSERT(node->count > first);
	poor = (node->heads[first] ^ node->heads[last]) >> 16 == 0;
	for (unsigned i = first; i < last && !poor; i++)
		poor = node->heads[i] == node->heads[i + 1];
	if (!poor)
		return;
	size = shared_size(node);
	if (size > node->prefix_size)
		set_prefix(node, size);
}

/* Shorten the prefix so far that the key has it, too. */
static void admit(struct pd_node *node, struct pd_slice key)
{
	unsigned first = pd_node_first(node);
	size_t size;

	if (node->count <= first) { /* the first key: all of it, until the second comes */
		size = key.size;
		node->prefix_size = (uint16_t)size;
		if (size > 0)
			memcpy(node->prefix, key.data,
			       size < PD_NODE_PREFIX_INLINE ? size : PD_NODE_PREFIX_INLINE);
	} else if (prefix_order(node, key) != 0) {
		size = common_size(pd_node_key(node, first), key);
		PD_ASSERT(size < node->prefix_size);
		set_prefix(node, size);
	}
}

void pd_node_insert(struct pd_node *node, unsigned slot, struct pd_slot new)
{
	struct pd_slot *slots = pd_node_slots(node);
	uint64_t *necks = pd_node_necks(node);
	struct pd_slice key = pd_entry_key(new.entry);
	unsigned after = node->count - slot;

	PD_ASSERT(node->count < node->capacity && slot <= node->count && slot >= pd_node_first(node));
	admit(node, key);
	memmove(node->heads + slot + 1, node->heads + slot, after * sizeof node->heads[0]);
	memmove(necks + slot + 1, necks + slot, after * sizeof necks[0]);
	memmove(slots + slot + 1, slots + slot, after * sizeof slots[0]);
	set_head(node, slot, key);
	slots[slot] = new;
	node->count++;
	if (slot == (uint8_t)(node->last_insert + 1u)) /* it wraps: a split may set it to "before slot 0" */
		node->run += node->run < PD_NODE_RUN_MIN;
	else
		node->run = 0;
	node->last_insert = (uint8_t)slot;
}

void pd_node_remove(struct pd_node *node, unsigned slot)
{
	struct pd_slot *slots = pd_node_slots(node);
	uint64_t *necks = pd_node_necks(node);
	unsigned after = node->count - slot - 1u;

	PD_ASSERT(slot < node->count);
	memmove(node->heads + slot, node->heads + slot + 1, after * sizeof node->heads[0]);
	memmove(necks + slot, necks + slot + 1, after * sizeof necks[0]);
	memmove(slots + slot, slots + slot + 1, after * sizeof slots[0]);
	node->count--;
}

void pd_node_set_entry(struct pd_node *node, unsigned slot, const uint8_t *entry)
{
	struct pd_slice key = pd_entry_key(entry);

	PD_ASSERT(slot < node->count && slot >= pd_node_first(node));
	admit(node, key); /* before the old entry goes: it may be what the prefix is read from */
	pd_node_slots(node)[slot].entry = entry;
	set_head(node, slot, key);
}

void pd_node_copy(const struct pd_node *from, struct pd_node *to)
{
	PD_ASSERT(from->level == 0 && to->capacity >= from->count);
	memcpy(to->prefix, from->prefix, sizeof to->prefix);
	to->prefix_size = from->prefix_size;
	to->count = from->count;
	to->run = from->run;
	to->last_insert = from->last_insert;
	to->next = from->next;
	memcpy(to->heads, from->heads, from->count * sizeof from->heads[0]);
	memcpy(pd_node_necks(to), pd_node_necks_const(from), from->count * sizeof from->heads[0]);
	memcpy(pd_node_slots(to), pd_node_slots_const(from), from->count * sizeof(struct pd_slot));
}

/* How many of the 65 slots stay left. In an ascending stream all up to the new one do, so that the stream
 * leaves full nodes behind and goes on in an empty one; else half of them. */
static unsigned split_point(const struct pd_node *node, unsigned slot)
{
	unsigned point = (PD_NODE_SLOTS + 2) / 2;

	if (node->run >= PD_NODE_RUN_MIN && slot == node->last_insert + 1u) {
		point = slot + 1;
		if (node->level > 0 &&
		    point > PD_NODE_SLOTS - 1) /* two children go right, the new one not first */
			point = slot == PD_NODE_SLOTS - 1 ? slot - 1 : PD_NODE_SLOTS - 1;
		else if (point > PD_NODE_SLOTS)
			point = PD_NODE_SLOTS;
	} else if (node->level > 0 && slot == point) {
		point++; /* a new child is never the first of a node: its separator is in use below */
	}
	return point;
}

const uint8_t *pd_node_split(struct pd_node *node, struct pd_node *right, unsigned slot, struct pd_slot new)
{
	unsigned point = split_point(node, slot);
	unsigned keep = slot < point ? point - 1 : point;
	unsigned moved = PD_NODE_SLOTS - keep;
	const uint8_t *separator;

	PD_ASSERT(node->count == PD_NODE_SLOTS && node->capacity == PD_NODE_SLOTS);
	pd_node_init(right, PD_NODE_SLOTS, node->level);
	right->next = node->next;
	node->next = right;
	memcpy(right->heads, node->heads + keep, moved * sizeof node->heads[0]);
	memcpy(pd_node_necks(right), pd_node_necks(node) + keep, moved * sizeof node->heads[0]);
	memcpy(pd_node_slots(right), pd_node_slots(node) + keep, moved * sizeof(struct pd_slot));
	memcpy(right->prefix, node->prefix, sizeof right->prefix);
	right->prefix_size = node->prefix_size;
	right->count = (uint8_t)moved;
	node->count = (uint8_t)keep;
	if (slot < point) {
		pd_node_insert(node, slot, new);
	} else {
		/* The stream, if it is one, goes on here. */
		right->run = node->run;
		right->last_insert = (uint8_t)(slot - point - 1);
		pd_node_insert(right, slot - point, new);
		node->run = 0;
	}
	separator = pd_node_slots(right)[0].entry;
	if (right->level > 0)
		pd_node_slots(right)[0].entry = NULL;
	tighten(node);
	tighten(right);
	return separator;
}

bool pd_node_balance(struct pd_node *parent, unsigned slot, struct pd_node *left, struct pd_node *right)
{
	struct pd_slot *from = pd_node_slots(right);
	struct pd_slot *to = pd_node_slots(left);
	unsigned total = left->count + (unsigned)right->count;
	unsigned keep = total <= PD_NODE_MERGE_MAX ? total : total / 2;

	PD_ASSERT(left->next == right && left->level == right->level && slot > 0);
	left->run = right->run = 0;
	if (right->level > 0) /* the separator comes down and is a key like the others */
		from[0].entry = pd_node_slots(parent)[slot].entry;
	if (keep > left->count) {
		unsigned moved = keep - left->count;

		memcpy(to + left->count, from, moved * sizeof from[0]);
		memmove(from, from + moved, (right->count - moved) * sizeof from[0]);
	} else {
		unsigned moved = left->count - keep;

		memmove(from + moved, from, right->count * sizeof from[0]);
		memcpy(from, to + keep, moved * sizeof from[0]);
	}
	left->count = (uint8_t)keep;
	right->count = (uint8_t)(total - keep);
	set_prefix(left, shared_size(left));
	if (right->count == 0) {
		left->next = right->next;
		return true;
	}
	pd_node_set_entry(parent, slot, from[0].entry);
	if (right->level > 0)
		from[0].entry = NULL;
	set_prefix(right, shared_size(right));
	return false;
}
