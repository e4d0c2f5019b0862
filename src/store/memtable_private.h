/* Nodes of the memtable's B+tree. Inside the room only (and in its tests).
 *
 * One shape serves leaves and inner nodes, so that one search and one split do for both:
 *
 *        0       8                                16          64
 *        | next  | count capacity level … prefix  | first 48  | heads …   | necks …   | slots … |
 *        | node  |                        size    | of prefix | u64       | u64       | 16 B each
 *
 *   prefix  what the keys of the node have in common (a part of it may do: see pd_node_tighten)
 *   head    the 8 key bytes after the prefix as a big-endian number, padded with zero bytes. Heads that differ
 *           order their keys; where they are equal, the necks are compared
 *   neck    the 8 bytes after the head, in the same way: keys such as "user:0000123:field:07" differ in two
 *           places. Where these are equal as well nothing is decided (a zero byte looks like the end of a
 *           key), and the whole keys are compared, which may cost a cache miss each
 *   slot    leaf:  an entry and its LSN
 *           inner: a child and the smallest entry under it. Slot 0 has no entry: all smaller keys go there too
 *
 *                        ┌───────────────────────────┐
 *                inner   │ -, A │ "g", B │ "q", C    │         the separator IS the smallest entry
 *                        └──┬───────┬─────────┬──────┘
 *                  ┌────────┘       └───┐     └─────────┐
 *            ┌─────┴─────┐ next ┌───────┴───┐ next ┌────┴──────┐
 *      leaf  │ "a" "c"   │ ───> │ "g" "h"   │ ───> │ "q" "z"   │ ───> NULL
 *            └───────────┘      └───────────┘      └───────────┘
 *
 * Because a separator is an entry that is in the map, a split needs no memory for keys; the price is that
 * whoever replaces or takes out the first entry of a leaf also corrects the one separator that points to it. */
#ifndef PD_STORE_MEMTABLE_PRIVATE_H
#define PD_STORE_MEMTABLE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec.h"
#include "base/slice.h"
#include "store/memtable.h"

#define PD_NODE_SLOTS         64 /* fanout */
#define PD_NODE_SLOTS_FIRST   1  /* of the only leaf of a small table: 1, 2, 4, 8, 16, 32, 64 */
#define PD_NODE_SLOTS_MIN     16 /* a delete that leaves fewer merges the node or fills it from its neighbour */
#define PD_NODE_MERGE_MAX     48 /* a merged node has room for the next inserts */
#define PD_NODE_PREFIX_INLINE 48
#define PD_NODE_RUN_MIN       16 /* so many inserts, each right after the one before, are an ascending stream */
#define PD_MEMTABLE_DEPTH_MAX 32 /* inner nodes have 2 children at least: 2^31 nodes fit no machine */

struct pd_node;

struct pd_slot {
	const uint8_t *entry;
	union {
		uint64_t lsn;          /* leaf */
		struct pd_node *child; /* inner */
	};
};

struct pd_node {
	struct pd_node *next; /* to the right on the same level */
	uint8_t count;        /* slots in use */
	uint8_t capacity;     /* PD_NODE_SLOTS, less only in a leaf that is the root */
	uint8_t level;        /* 0: leaf */
	uint8_t run;          /* inserts so far that each landed right after the one before */
	uint8_t last_insert;  /* slot of the newest insert */
	uint8_t reserved;
	uint16_t prefix_size;
	uint8_t prefix[PD_NODE_PREFIX_INLINE]; /* longer ones go on in any key of the node */
	uint64_t heads[];
};
_Static_assert(sizeof(struct pd_node) == 64, "the header of a node is one cache line");

struct pd_memtable {
	struct pd_node *root; /* NULL: empty */
	struct pd_arena *arena;
	uint64_t count;
};

/* For a table that lies in something else. */
void pd_memtable_init(struct pd_memtable *table, struct pd_arena *arena);
/* The slot of a key, NULL: none. Its LSN may be changed in place. Any put or delete makes it void. */
struct pd_slot *pd_memtable_find(const struct pd_memtable *table, struct pd_slice key);
/* Take the entry out if it is DEAD and FRESH. What it returns is its slot if it is only DEAD. */
const struct pd_slot *pd_memtable_purge(struct pd_memtable *table, const uint8_t *entry, bool *ret_gone);
/* The slot at the cursor, then move on; NULL: the end. */
struct pd_slot *pd_memtable_walk(struct pd_memtable_cursor *cursor);

static inline size_t pd_node_size(unsigned capacity)
{
	return sizeof(struct pd_node) + capacity * (2 * sizeof(uint64_t) + sizeof(struct pd_slot));
}

static inline struct pd_slot *pd_node_slots(struct pd_node *node)
{
	return (struct pd_slot *)(void *)(node->heads + node->capacity * 2u);
}

static inline const struct pd_slot *pd_node_slots_const(const struct pd_node *node)
{
	return (const struct pd_slot *)(const void *)(node->heads + node->capacity * 2u);
}

/* The necks, one a slot. */
static inline uint64_t *pd_node_necks(struct pd_node *node)
{
	return node->heads + node->capacity;
}

static inline const uint64_t *pd_node_necks_const(const struct pd_node *node)
{
	return node->heads + node->capacity;
}

/* The first slot that has a key. */
static inline unsigned pd_node_first(const struct pd_node *node)
{
	return node->level > 0;
}

static inline struct pd_slice pd_node_key(const struct pd_node *node, unsigned slot)
{
	return pd_entry_key(pd_node_slots_const(node)[slot].entry);
}

/* The head of a key behind `skip` bytes, of which it has as many at least. */
static inline uint64_t pd_node_head(struct pd_slice key, size_t skip)
{
	size_t size = key.size - skip;
	uint64_t head = 0;

	if (__builtin_expect(size >= 8, 1))
		return pd_load_be64(key.data + skip);
	if (size == 0)
		return 0;
	if (key.size >= 8) /* read backwards from the end, shift what belongs to the prefix out */
		return pd_load_be64(key.data + key.size - 8) << (8 * (8 - size));
	for (size_t i = 0; i < size; i++)
		head |= (uint64_t)key.data[skip + i] << (56 - 8 * i);
	return head;
}

/* The 8 bytes behind the head. */
static inline uint64_t pd_node_neck(struct pd_slice key, size_t skip)
{
	return key.size > skip + 8 ? pd_node_head(key, skip + 8) : 0;
}

/* A function that only prefetches has no effect in GCC's eyes, and the call is dropped before it is inlined. */
#define PD_PREFETCH_INLINE static inline __attribute__((always_inline))

/* Fetch a whole node, all lines at once: search, then slot, then entry would each wait for memory in turn. More
 * lines than one search reads, and still faster (measured: get +15 %, insert +25 % over heads only). */
PD_PREFETCH_INLINE void pd_node_prefetch(const struct pd_node *node)
{
	for (unsigned line = 0; line < pd_node_size(PD_NODE_SLOTS); line += 64)
		__builtin_prefetch((const uint8_t *)node + line);
}

/* Where a key is or belongs. */
struct pd_node_place {
	unsigned slot; /* of the first key >= it */
	bool found;    /* that key is it */
};
struct pd_node_place pd_node_search(const struct pd_node *node, struct pd_slice key);
/* Only whether and where a leaf has the key: cheaper than a search. false: not there. */
bool pd_node_find(const struct pd_node *leaf, struct pd_slice key, unsigned *ret_slot);

/* The node is empty after it. `capacity` is what its memory was allocated for. */
void pd_node_init(struct pd_node *node, unsigned capacity, unsigned level);
/* Put a key and what belongs to it at a slot; there must be room, and it must be its place. */
void pd_node_insert(struct pd_node *node, unsigned slot, struct pd_slot new);
void pd_node_remove(struct pd_node *node, unsigned slot);
/* Another entry for a slot, whose key keeps its place in the order. */
void pd_node_set_entry(struct pd_node *node, unsigned slot, const uint8_t *entry);
/* Copy the contents into an empty leaf of another capacity. */
void pd_node_copy(const struct pd_node *from, struct pd_node *to);

/* Insert into a full node by moving its upper part to `right`, which comes fresh from memory. Returns the
 * separator between the two. */
const uint8_t *pd_node_split(struct pd_node *node, struct pd_node *right, unsigned slot, struct pd_slot new);
/* Make neighbours of which one is too empty into one (true: `right` can be freed, the caller takes it out of
 * the parent) or share what they have evenly. `slot` is that of `right` in their parent. */
bool pd_node_balance(struct pd_node *parent, unsigned slot, struct pd_node *left, struct pd_node *right);

/* For tests: walk everything and assert every invariant. */
void pd_memtable_check(const struct pd_memtable *table);

#endif
