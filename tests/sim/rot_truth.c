/* What a log holds that nobody has damaged: every record, whose it is, and where its group lies. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/group.h"
#include "log/verify.h"
#include "rot.h"

static _Noreturn void give_up(const char *why)
{
	(void)fprintf(stderr, "rot: the directory that is to be damaged is not whole: %s\n", why);
	exit(2);
}

const char *segment_path(uint32_t number)
{
	static char paths[4][64];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, sizeof paths[0], ROT_LOG "/%010u.seg", number);
	return path;
}

static void add_actor(struct truth *truth, struct true_record *record, uint64_t actor)
{
	for (unsigned i = 0; i < record->actor_count; i++)
		if (truth->actors[record->actors_at + i] == actor)
			return;
	truth->actors = pd_grow(truth->actors, truth->actor_count, &truth->actor_capacity,
				sizeof *truth->actors, 1024);
	if (truth->actors == NULL)
		give_up("out of memory");
	truth->actors[truth->actor_count++] = actor;
	record->actor_count++;
}

static void add_record(struct truth *truth, const struct pd_record *seen)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;
	struct true_record *record;

	if (seen->lsn != truth->count + 1)
		give_up("an LSN is missing");
	truth->records = pd_grow(truth->records, truth->count, &truth->capacity, sizeof *truth->records,
				 1024);
	if (truth->records == NULL)
		give_up("out of memory");
	record = &truth->records[truth->count++];
	*record = (struct true_record){ .hash = pd_hash64(seen->bytes, 0),
					.epoch = seen->epoch,
					.actors_at = truth->actor_count,
					.epoch_begins = seen->head.kind == PD_RECORD_EPOCH };
	add_actor(truth, record, seen->head.actor);
	pd_effect_walk_init(&walk, seen);
	while (pd_effect_next(&walk, &effect) == 0) {
		if (effect.kind == PD_EFFECT_ACTOR)
			add_actor(truth, record, effect.actor);
		record->system = record->system || effect.actor == 0;
	}
}

/* A group's header as docs/format/log.md has it: of a directory that is known to be whole, so that nothing is checked but that
 * the sector is one of this life. */
struct header {
	uint32_t sectors, record_count, kind;
	uint64_t first_lsn, durable_lsn;
};

static bool read_header(const uint8_t *sector, uint32_t segment, struct header *header)
{
	*header = (struct header){ .sectors = pd_load_u32(sector + 16),
				   .record_count = pd_load_u32(sector + 20),
				   .kind = pd_load_u16(sector + 56),
				   .first_lsn = pd_load_u64(sector + 24),
				   .durable_lsn = pd_load_u64(sector + 40) };
	return memcmp(sector, "PDG1", 4) == 0 &&
	       pd_load_u32(sector + PD_SECTOR_SIZE - PD_STAMP_SIZE) == segment;
}

static void add_groups(struct truth *truth, const struct image *image, uint32_t number)
{
	const struct image_file *file = image_find(image, segment_path(number));
	struct header header;

	for (uint64_t sector = 0; sector < file->size / PD_SECTOR_SIZE; sector += header.sectors) {
		struct true_group *group;
		bool frame;

		if (!read_header(file->data + sector * PD_SECTOR_SIZE, number, &header))
			return;
		frame = header.kind >= PD_GROUP_FRAME_BEGIN;
		truth->groups = pd_grow(truth->groups, truth->group_count, &truth->group_capacity,
					sizeof *truth->groups, 256);
		if (truth->groups == NULL)
			give_up("out of memory");
		group = &truth->groups[truth->group_count++];
		*group = (struct true_group){ .segment = number,
					      .sector = sector,
					      .sectors = header.sectors,
					      .first_lsn = header.first_lsn,
					      .last_lsn = header.first_lsn + header.record_count - 1,
					      .durable_lsn = header.durable_lsn,
					      .frame = frame };
		if (frame)
			group->last_lsn = header.first_lsn;
	}
}

void truth_make(struct truth *truth, const struct image *image)
{
	struct pd_log_options options = { .os = image_machine(image, true), .directory = ROT_LOG };
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	struct pd_error err = { 0 };
	int result;

	*truth = (struct truth){ 0 };
	memcpy(options.cluster_id, image->cluster_id, sizeof options.cluster_id);
	if (pd_log_verifier_new(&options, &verifier, &err) != 0)
		give_up(err.text);
	while ((result = pd_log_verifier_next(verifier, &sight, &err)) == 0) {
		if (sight.kind == PD_SIGHT_DAMAGE)
			give_up(sight.damage.text);
		if (sight.kind == PD_SIGHT_RECORD)
			add_record(truth, &sight.record);
		if (sight.kind != PD_SIGHT_SEGMENT)
			continue;
		if (truth->first_segment == 0)
			truth->first_segment = sight.segment;
		truth->last_segment = sight.segment;
		add_groups(truth, image, sight.segment);
	}
	if (result != PD_END)
		give_up(err.text);
	pd_log_verifier_free(verifier);
	pd_os_free(options.os);
}

static size_t head_of(const struct truth *truth, uint32_t segment)
{
	size_t n = 0;

	while (n < truth->group_count && truth->groups[n].segment != segment)
		n++;
	return n;
}

uint64_t truth_first_lsn(const struct truth *truth, uint32_t segment)
{
	size_t head = head_of(truth, segment);
	uint64_t lsn = truth->groups[head].first_lsn;

	/* Do the frames of a record go on here? Between them there may be a footer. */
	for (size_t n = head; n > 0 && n + 2 > head; n--)
		if (truth->groups[n - 1].frame && truth->groups[n - 1].first_lsn == lsn)
			return lsn + 1;
	return lsn;
}

uint64_t truth_last_before(const struct truth *truth, uint32_t segment)
{
	return truth->groups[head_of(truth, segment)].first_lsn - 1;
}

void truth_done(struct truth *truth)
{
	pd_free(truth->records);
	pd_free(truth->actors);
	pd_free(truth->groups);
}
