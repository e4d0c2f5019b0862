/* The index in a segment's footer: which actors have records in which group. */
#include "base/codec.h"
#include "base/plant.h"
#include "log/file/file_private.h"

size_t pd_index_growth(size_t actor_count)
{
	return (3 + (actor_count == PD_INDEX_ALL_ACTORS ? 0 : actor_count)) * PD_VARINT_MAX;
}

static void add_varint(struct pd_buffer *index, uint64_t number)
{
	index->size += pd_varint_put(index->data + index->size, number);
}

int pd_index_add(struct pd_buffer *index, uint32_t sectors, uint32_t records, const uint64_t *actors,
		 size_t actor_count)
{
	int result = pd_buffer_reserve(index, pd_index_growth(actor_count));

	if (pd_plant(PD_PLANT_INDEX_ONE_ACTOR) && actor_count != PD_INDEX_ALL_ACTORS && actor_count > 1)
		actor_count = 1;
	if (result != 0)
		return result;
	add_varint(index, sectors);
	add_varint(index, records);
	if (actor_count == PD_INDEX_ALL_ACTORS) {
		add_varint(index, 0);
		return 0;
	}
	add_varint(index, 1 + actor_count);
	for (size_t i = 0; i < actor_count; i++)
		add_varint(index, actors[i]);
	return 0;
}

static bool has_actor(const struct pd_buffer *actors, uint64_t actor)
{
	for (size_t at = 0; at < actors->size; at += sizeof actor)
		if (pd_load_u64(actors->data + at) == actor)
			return true;
	return false;
}

uint64_t pd_index_records(struct pd_slice index)
{
	uint64_t sum = 0, sectors, records, count, actor;

	while (pd_varint_take(&index, &sectors) && pd_varint_take(&index, &records) &&
	       pd_varint_take(&index, &count)) {
		sum += records;
		for (uint64_t i = 1; i < count && pd_varint_take(&index, &actor); i++)
			continue;
	}
	return sum;
}

int pd_index_actors(struct pd_slice index, uint64_t segment_first_lsn, uint64_t first_lsn, uint64_t last_lsn,
		    struct pd_buffer *actors)
{
	uint64_t lsn = segment_first_lsn;
	bool inside = false; /* the index ends between the frames of `lsn` */

	while (index.size > 0) {
		uint64_t sectors, records, count, actor;
		bool wanted;

		if (!pd_varint_take(&index, &sectors) || !pd_varint_take(&index, &records) ||
		    !pd_varint_take(&index, &count))
			return 0;
		/* A frame has no record of its own before the last one: it belongs to the LSN in the making. */
		wanted = lsn <= last_lsn && lsn + (records > 0 ? records : 1) > first_lsn;
		if (wanted && count == 0)
			return 0;
		for (uint64_t i = 1; i < count; i++) {
			if (!pd_varint_take(&index, &actor))
				return 0;
			if (wanted && !has_actor(actors, actor) &&
			    pd_buffer_append(actors, &actor, sizeof actor) != 0)
				return PD_NO_MEMORY;
		}
		lsn += records;
		inside = records == 0 && count > 1;
	}
	return first_lsn >= segment_first_lsn && (last_lsn < lsn || (last_lsn == lsn && inside));
}
