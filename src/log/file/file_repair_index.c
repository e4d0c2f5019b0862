/* A segment's index follows from its groups, so that what stands in the footer's place proves itself whatever has become of it, if it is what the
 * footer's header names: groups of records, one after the other, each whole. Pieces of a larger group list all of that group's actors,
 * which nothing here tells; then the index stays as it is. */
#include <string.h>

#include "base/memory.h"
#include "log/file/file_private.h"
#include "log/file/repair_private.h"

struct index_maker {
	struct pd_mender *mender;
	struct pd_buffer index;
	uint64_t *actors; /* of one group, as its writer noted them: a run of one actor is listed once */
	size_t actor_count, actor_capacity;
	uint32_t segment_bytes;
};

static int add_actor(struct index_maker *maker, uint64_t actor)
{
	uint64_t *actors;

	if (maker->actor_count > 0 && maker->actors[maker->actor_count - 1] == actor)
		return 0;
	actors = pd_grow(maker->actors, maker->actor_count, &maker->actor_capacity, sizeof *actors, 16);
	if (actors == NULL)
		return PD_NO_MEMORY;
	maker->actors = actors;
	actors[maker->actor_count++] = actor;
	return 0;
}

/* 1: they are added; 0: it makes no sense. PD_NO_MEMORY. */
static int add_actors(struct index_maker *maker, const struct pd_record *record)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	int result = 0, added = add_actor(maker, record->head.actor);

	pd_effect_walk_init(&walk, record);
	while (added == 0 && (result = pd_effect_next(&walk, &effect)) == 0)
		if (effect.kind == PD_EFFECT_ACTOR)
			added = add_actor(maker, effect.actor);
	return added != 0 ? added : result == PD_END;
}

/* The same of all records of a group that is open. */
static int add_group(struct index_maker *maker, const struct pd_group_header *header)
{
	struct pd_slice rest = pd_slice(maker->mender->scratch.data + PD_GROUP_HEADER_SIZE,
					header->payload_size);
	struct pd_record record;
	int result = 1;

	maker->actor_count = 0;
	for (uint32_t i = 0; result == 1 && i < header->record_count; i++) {
		if (pd_record_decode(rest, 0, &record, NULL) != 0)
			return 0;
		result = add_actors(maker, &record);
		rest.data += record.bytes.size;
		rest.size -= record.bytes.size;
	}
	return result;
}

/* Add the group at this place to the index. 1: done; 0: it does not tell all. PD_NO_MEMORY. */
static int index_group(struct index_maker *maker, uint64_t sector, const struct pd_group_header *header)
{
	struct pd_segment_head head;
	size_t count;
	int result;

	if (header->kind != (sector == 0 ? PD_GROUP_SEGMENT : PD_GROUP_RECORDS))
		return 0;
	result = pd_repair_open_group(maker->mender, sector, header);
	if (result != 1)
		return result;
	if (sector == 0) {
		if (header->payload_size != sizeof head)
			return 0;
		memcpy(&head, maker->mender->scratch.data + PD_GROUP_HEADER_SIZE, sizeof head);
		maker->segment_bytes = head.segment_bytes;
	} else {
		result = add_group(maker, header);
		if (result != 1)
			return result;
	}
	count = pd_index_growth(maker->actor_count) <= maker->segment_bytes / PD_INDEX_SHARE
			? maker->actor_count
			: PD_INDEX_ALL_ACTORS;
	return pd_index_add(&maker->index, header->sectors, header->record_count, maker->actors, count) == 0
		       ? 1
		       : PD_NO_MEMORY;
}

int pd_repair_make_index(struct pd_mender *mender, uint64_t sector, const struct pd_group_header *footer)
{
	struct index_maker maker = { .mender = mender };
	struct pd_group_header header = { 0 };
	uint64_t at = 0;
	int result = 1;

	pd_buffer_init(&maker.index, SIZE_MAX / 2);
	for (; result == 1 && at < sector; at += header.sectors) {
		if (!pd_repair_header_here(mender, at, &header))
			result = 0;
		else
			result = index_group(&maker, at, &header);
	}
	if (result == 1 && (at != sector || maker.index.size != footer->payload_size))
		result = 0;
	if (result == 1)
		result = pd_repair_fill_group(mender, footer, maker.index.data);
	pd_buffer_done(&maker.index);
	pd_free(maker.actors);
	return result;
}
