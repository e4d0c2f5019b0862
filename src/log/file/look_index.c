/* Indexes of segments, taken apart, and kept from one look to the next.
 *
 * What a footer says of a sealed segment never changes, nor does what was learnt of one that has none. The index of the open segment only
 * grows at its end. So an index that was found to be right once is right as long as its segment is there: numbers are not given again. */
#include "base/codec.h"
#include "base/memory.h"
#include "log/file/look_private.h"

#define INDEXES_MAX 256u

struct pd_log_look_memory {
	struct pd_look_index *items[INDEXES_MAX];
	size_t count, bytes_max;
	uint64_t clock;
};

/* ---- one ---- */

static void index_free(struct pd_look_index *index)
{
	if (index == NULL)
		return;
	pd_buffer_done(&index->bytes);
	pd_free(index->extents);
	pd_free(index);
}

static size_t index_bytes(const struct pd_look_index *index)
{
	return sizeof *index + index->bytes.capacity + index->capacity * sizeof *index->extents;
}

/* Over the ids of a group; false: it makes no sense. */
static bool skip_actors(struct pd_slice *rest)
{
	uint64_t count, id;

	if (!pd_varint_take(rest, &count))
		return false;
	for (uint64_t i = 1; i < count; i++)
		if (!pd_varint_take(rest, &id))
			return false;
	return true;
}

/* What of its bytes was not taken apart yet. */
static int take_extents(struct pd_look_index *index, uint64_t sectors_max)
{
	struct pd_slice rest = pd_slice(index->bytes.data + index->taken, index->bytes.size - index->taken);

	while (rest.size > 0) {
		struct pd_look_extent *extents = pd_grow(index->extents, index->count, &index->capacity,
							 sizeof *extents, 256);
		uint64_t sectors, records;
		size_t actors;

		if (extents == NULL)
			return PD_NO_MEMORY;
		index->extents = extents;
		if (!pd_varint_take(&rest, &sectors) || !pd_varint_take(&rest, &records) || sectors == 0 ||
		    sectors > sectors_max - index->end_sector || records > UINT32_MAX)
			return PD_LOOK_JUDGE;
		actors = index->bytes.size - rest.size;
		if (!skip_actors(&rest))
			return PD_LOOK_JUDGE;
		extents[index->count++] = (struct pd_look_extent){ .first_lsn = index->end_lsn,
								   .sector = index->end_sector,
								   .sectors = (uint32_t)sectors,
								   .records = (uint32_t)records,
								   .actors = actors };
		index->end_sector += sectors;
		index->end_lsn += records;
		index->taken = index->bytes.size - rest.size;
	}
	return 0;
}

int pd_look_index_add(struct pd_look_index *index, struct pd_slice bytes, uint64_t sectors_max)
{
	if (pd_buffer_append_slice(&index->bytes, bytes) != 0)
		return PD_NO_MEMORY;
	return take_extents(index, sectors_max);
}

size_t pd_look_index_find(const struct pd_look_index *index, uint64_t lsn)
{
	size_t low = 0, high = index->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct pd_look_extent *extent = &index->extents[middle];

		if (extent->first_lsn + extent->records <= lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool pd_look_wish_has(const struct pd_log_look_wish *wish, uint64_t actor)
{
	size_t low = 0, high = wish->actor_count;

	if (wish->actor_count == 0)
		return wish->actor == PD_LOOK_ALL_ACTORS || wish->actor == actor;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (wish->actors[middle] == actor)
			return true;
		if (wish->actors[middle] < actor)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

bool pd_look_index_wants(const struct pd_look_index *index, const struct pd_look_extent *extent,
			 const struct pd_log_look_wish *wish)
{
	struct pd_slice rest = pd_slice(index->bytes.data + extent->actors,
					index->bytes.size - extent->actors);
	uint64_t count, id;

	if (wish->actor_count == 0 && wish->actor == PD_LOOK_ALL_ACTORS)
		return true;
	if (!pd_varint_take(&rest, &count) || count == 0)
		return true; /* too many to be listed */
	for (uint64_t i = 1; i < count && pd_varint_take(&rest, &id); i++)
		if (pd_look_wish_has(wish, id))
			return true;
	return false;
}

/* ---- all that are kept ---- */

struct pd_log_look_memory *pd_log_look_memory_new(size_t bytes_max)
{
	struct pd_log_look_memory *memory = pd_calloc(1, sizeof *memory);

	if (memory != NULL)
		memory->bytes_max = bytes_max;
	return memory;
}

void pd_log_look_memory_free(struct pd_log_look_memory *memory)
{
	if (memory == NULL)
		return;
	for (size_t i = 0; i < memory->count; i++)
		index_free(memory->items[i]);
	pd_free(memory);
}

static void drop(struct pd_log_look_memory *memory, size_t at)
{
	index_free(memory->items[at]);
	memory->items[at] = memory->items[--memory->count];
}

struct pd_look_index *pd_look_memory_get(struct pd_log_look_memory *memory, uint32_t segment)
{
	for (size_t i = 0; i < memory->count; i++)
		if (memory->items[i]->segment == segment) {
			memory->items[i]->used = ++memory->clock;
			return memory->items[i];
		}
	return NULL;
}

void pd_look_memory_forget(struct pd_log_look_memory *memory, uint32_t segment)
{
	for (size_t i = 0; i < memory->count; i++)
		if (memory->items[i]->segment == segment) {
			drop(memory, i);
			return;
		}
}

/* The one that was used the longest time ago, but for the last one. */
static size_t oldest(const struct pd_log_look_memory *memory)
{
	size_t found = 0;

	for (size_t i = 1; i < memory->count; i++)
		if (memory->items[i]->used < memory->items[found]->used)
			found = i;
	return found;
}

struct pd_look_index *pd_look_memory_add(struct pd_log_look_memory *memory, uint32_t segment,
					 uint64_t first_lsn)
{
	struct pd_look_index *index = pd_calloc(1, sizeof *index);

	if (index == NULL)
		return NULL;
	pd_buffer_init(&index->bytes, SIZE_MAX / 2);
	index->segment = segment;
	index->end_lsn = first_lsn;
	index->used = ++memory->clock;
	if (memory->count == INDEXES_MAX)
		drop(memory, oldest(memory));
	memory->items[memory->count++] = index;
	return index;
}

void pd_look_memory_bound(struct pd_log_look_memory *memory)
{
	size_t bytes = 0;

	for (size_t i = 0; i < memory->count; i++)
		bytes += index_bytes(memory->items[i]);
	while (bytes > memory->bytes_max && memory->count > 1) {
		size_t at = oldest(memory);

		bytes -= index_bytes(memory->items[at]);
		drop(memory, at);
	}
}
