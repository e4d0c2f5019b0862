/* The oracle. Whatever was damaged: what is served is what was written, what is not served is named, and nothing that had been
 * durable goes without a word. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/actor.h"
#include "log/group.h"
#include "rot.h"

const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_UNSEEN] = "of no effect", [OUTCOME_WHOLE] = "found, nothing lost",
	[OUTCOME_LOST] = "lost and named", [OUTCOME_CUT] = "tail cut",
	[OUTCOME_REFUSED] = "refused",     [OUTCOME_REPLACED] = "another state took its place",
};

struct judge {
	const struct look *look;
	struct verdict *verdict;
	uint64_t next; /* LSN that must come, or be named */
	uint64_t damages;
	bool open_end; /* damage had no end */
};

static bool wrong(struct verdict *verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct verdict *verdict, const char *format, ...)
{
	va_list arguments;

	if (verdict->failure[0] != '\0')
		return false;
	va_start(arguments, format);
	(void)vsnprintf(verdict->failure, sizeof verdict->failure, format, arguments);
	va_end(arguments);
	return false;
}

static void mix(struct verdict *verdict, const void *data, size_t size)
{
	verdict->hash = pd_hash64(pd_slice(data, size), verdict->hash);
}

/* ---- what was hit ---- */

static bool is_there(const struct look *look, const struct true_group *group)
{
	return group->segment >= look->first_segment &&
	       (group->segment < look->last_segment ||
		(group->segment == look->last_segment && group->sector < look->end_sector));
}

static bool is_hit(const struct look *look, const struct true_group *group, uint64_t sectors)
{
	uint64_t from = group->sector * PD_SECTOR_SIZE, to = from + sectors * PD_SECTOR_SIZE;

	for (size_t i = 0; i < look->hit_count; i++)
		if (look->hits[i].segment == group->segment && look->hits[i].from < to &&
		    look->hits[i].to > from)
			return true;
	return false;
}

/* Is a group that has a part of this record among what was hit? */
static bool was_hit(const struct look *look, uint64_t lsn)
{
	const struct truth *truth = look->truth;
	size_t low = 0, high = truth->group_count;

	/* The first group that does not end before it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (truth->groups[middle].first_lsn < lsn && truth->groups[middle].last_lsn < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < truth->group_count && truth->groups[low].first_lsn <= lsn; low++)
		if (truth->groups[low].last_lsn >= lsn &&
		    is_hit(look, &truth->groups[low], truth->groups[low].sectors))
			return true;
	return false;
}

/* Up to here the log itself still proves that everything was on stable storage. */
static uint64_t proven_lsn(const struct look *look)
{
	uint64_t proven = 0;

	for (size_t i = 0; i < look->truth->group_count; i++) {
		const struct true_group *group = &look->truth->groups[i];
		uint64_t says = group->durable_lsn;

		if (!is_there(look, group) || is_hit(look, group, 1))
			continue;
		if (group->sector == 0) /* a segment is begun when all before it is durable */
			says = group->first_lsn - 1;
		if (says > proven)
			proven = says;
	}
	return proven;
}

/* Pieces of a record that was never whole are in use no more than what is behind the end. */
static bool anything_used_was_hit(const struct look *look)
{
	for (size_t i = 0; i < look->truth->group_count; i++)
		if (is_there(look, &look->truth->groups[i]) &&
		    look->truth->groups[i].last_lsn <= look->last_lsn &&
		    is_hit(look, &look->truth->groups[i], look->truth->groups[i].sectors))
			return true;
	return false;
}

/* ---- reading ---- */

static bool is_named(const struct pd_log_damage *damage, uint64_t actor)
{
	for (size_t i = 0; i < damage->actor_count; i++)
		if (damage->actors[i] == actor)
			return true;
	return false;
}

static bool names_all(const struct truth *truth, const struct pd_log_damage *damage, uint64_t lsn,
		      struct verdict *verdict)
{
	const struct true_record *record = &truth->records[lsn - 1];

	for (unsigned i = 0; i < record->actor_count && !record->epoch_begins; i++)
		if (!is_named(damage, truth->actors[record->actors_at + i]))
			return wrong(verdict,
				     "LSN %" PRIu64 " is lost, and its actor %" PRIu64 " is not named", lsn,
				     truth->actors[record->actors_at + i]);
	return true;
}

static bool take_loss(struct judge *judge, const struct pd_log_damage *damage)
{
	const struct look *look = judge->look;

	if (damage->first_lsn != judge->next)
		return wrong(judge->verdict, "damage begins with LSN %" PRIu64 ", and LSN %" PRIu64 " is due",
			     damage->first_lsn, judge->next);
	judge->verdict->unknown_actors = judge->verdict->unknown_actors || !damage->actors_known;
	if (damage->last_lsn == 0) {
		judge->open_end = true;
		return true;
	}
	if (damage->last_lsn > look->last_lsn)
		return wrong(judge->verdict, "LSN %" PRIu64 " is lost, and was never written",
			     damage->last_lsn);
	for (; judge->next <= damage->last_lsn; judge->next++) {
		judge->verdict->lost++;
		if (!was_hit(look, judge->next))
			return wrong(judge->verdict,
				     "LSN %" PRIu64 " is lost, and nothing of it was damaged (%s)",
				     judge->next, damage->text);
		if (damage->actors_known && !names_all(look->truth, damage, judge->next, judge->verdict))
			return false;
	}
	return true;
}

static bool take_damage(struct judge *judge, const struct pd_log_damage *damage)
{
	struct verdict *verdict = judge->verdict;

	judge->damages++;
	mix(verdict, &damage->first_lsn, sizeof damage->first_lsn);
	mix(verdict, &damage->last_lsn, sizeof damage->last_lsn);
	mix(verdict, &damage->actors_known, sizeof damage->actors_known);
	if (damage->actor_count > 0)
		mix(verdict, damage->actors, damage->actor_count * sizeof *damage->actors);
	mix(verdict, damage->text, strlen(damage->text));
	return !pd_log_damage_loses(damage) || take_loss(judge, damage);
}

static bool take_record(struct judge *judge, const struct pd_record *record)
{
	const struct look *look = judge->look;
	const struct true_record *expected;

	if (record->lsn > look->last_lsn)
		return wrong(judge->verdict, "LSN %" PRIu64 " was never written, and is served", record->lsn);
	if (record->lsn != judge->next && !(judge->open_end && record->lsn > judge->next))
		return wrong(judge->verdict, "LSN %" PRIu64 " comes, and LSN %" PRIu64 " is due", record->lsn,
			     judge->next);
	expected = &look->truth->records[record->lsn - 1];
	if (record->epoch != expected->epoch || pd_hash64(record->bytes, 0) != expected->hash)
		return wrong(judge->verdict, "SILENT WRONG READ: LSN %" PRIu64 " is not what was written",
			     record->lsn);
	judge->next = record->lsn + 1;
	return true;
}

static void judge_end(struct judge *judge, const struct pd_log_reader *reader)
{
	struct verdict *verdict = judge->verdict;
	struct pd_log_end end;
	uint64_t last = judge->next - 1;

	pd_log_reader_end(reader, &end);
	mix(verdict, &end.last_lsn, sizeof end.last_lsn);
	mix(verdict, &end.epoch, sizeof end.epoch);
	if (judge->open_end)
		return;
	if (end.last_lsn != last)
		(void)wrong(verdict, "the log ends with LSN %" PRIu64 ", and LSN %" PRIu64 " was the last",
			    end.last_lsn, last);
	if (last >= judge->look->last_lsn)
		return;
	verdict->kind = OUTCOME_CUT;
	if (!judge->look->may_cut)
		(void)wrong(verdict,
			    "damage was taken for a torn write: cut behind LSN %" PRIu64 " of %" PRIu64, last,
			    judge->look->last_lsn);
	else if (last < proven_lsn(judge->look))
		(void)wrong(verdict,
			    "cut behind LSN %" PRIu64 ", though up to %" PRIu64 " was known to be durable",
			    last, proven_lsn(judge->look));
}

static void read_all(struct judge *judge, struct pd_log_reader *reader)
{
	struct pd_log_damage damage;
	struct pd_record record;
	struct pd_error err = { 0 };

	for (;;) {
		int result = pd_log_reader_next(reader, &record, &damage, &err);

		if (result == PD_END) {
			judge_end(judge, reader);
			return;
		}
		if (result != 0 && result != PD_CORRUPT) {
			(void)wrong(judge->verdict, "reading ends with %s: %.200s", pd_code_name(result),
				    err.text);
			return;
		}
		if (result == 0 ? !take_record(judge, &record) : !take_damage(judge, &damage))
			return;
		if (judge->look->until_lsn != 0 && judge->next > judge->look->until_lsn)
			return;
	}
}

void judge_log(const struct look *look, struct verdict *verdict)
{
	struct pd_log_options options = { .os = look->os,
					  .directory = ROT_LOG,
					  .segment_bytes = look->image->segment_bytes };
	struct judge judge = { .look = look, .verdict = verdict, .next = look->from_lsn };
	struct pd_log_reader *reader;
	struct pd_error err = { 0 };
	struct pd_log *log;

	*verdict = (struct verdict){ .kind = OUTCOME_UNSEEN };
	memcpy(options.cluster_id, look->image->cluster_id, sizeof options.cluster_id);
	if (pd_log_file_open(&options, &log, &err) != 0) {
		(void)wrong(verdict, "the log cannot be opened: %.200s", err.text);
		return;
	}
	if (pd_log_reader_new(log, look->from_lsn, &reader, &err) != 0) {
		(void)wrong(verdict, "the log cannot be read: %.200s", err.text);
	} else {
		read_all(&judge, reader);
		pd_log_reader_free(reader);
	}
	(void)pd_log_close(log, NULL);
	if (verdict->kind == OUTCOME_CUT)
		return;
	if (verdict->lost > 0 || judge.open_end)
		verdict->kind = OUTCOME_LOST;
	else if (judge.damages > 0)
		verdict->kind = OUTCOME_WHOLE;
	else if (anything_used_was_hit(look))
		(void)wrong(verdict, "damage where the log is in use was not noticed");
}

/* ---- the engine ---- */

static bool engine_names(const struct pd_engine *engine, uint64_t actor)
{
	const struct pd_log_damage *damage;

	for (size_t i = 0; (damage = pd_engine_damage(engine, i)) != NULL; i++)
		if (pd_log_damage_loses(damage) && is_named(damage, actor))
			return true;
	return false;
}

/* Did the actor lose a record that the state did not have before? */
static bool has_lost(const struct pd_engine *engine, const struct truth *truth, uint64_t applied_lsn,
		     uint64_t actor)
{
	const struct pd_log_damage *damage;

	for (size_t i = 0; truth != NULL && (damage = pd_engine_damage(engine, i)) != NULL; i++)
		for (uint64_t lsn = damage->first_lsn; lsn <= damage->last_lsn && lsn <= truth->count; lsn++)
			for (unsigned a = 0; lsn > applied_lsn && a < truth->records[lsn - 1].actor_count;
			     a++)
				if (truth->actors[truth->records[lsn - 1].actors_at + a] == actor)
					return true;
	return false;
}

static void judge_actor(struct pd_engine *engine, struct pd_session *session, const struct image *image,
			size_t n, bool lost, struct verdict *verdict)
{
	struct pd_slice name = pd_slice_string(image->actors[n].name);
	struct pd_actor_info info;
	struct pd_hash128 hash;
	struct pd_error err = { 0 };

	if (pd_engine_actor_info(engine, session, name, &info, &err) != 0) {
		(void)wrong(verdict, "actor %s is not there: %.200s", image->actors[n].name, err.text);
		return;
	}
	if (info.quarantined && !engine_names(engine, info.id))
		(void)wrong(verdict, "actor %s is quarantined, and no damage concerns it",
			    image->actors[n].name);
	if (lost && !info.quarantined)
		(void)wrong(verdict, "actor %s lost a record, and is served", image->actors[n].name);
	if (info.quarantined)
		return;
	if (pd_engine_state_hash(engine, session, name, &hash, &err) != 0)
		(void)wrong(verdict, "actor %s cannot be read: %.200s", image->actors[n].name, err.text);
	else if (hash.low != image->actors[n].hash.low || hash.high != image->actors[n].hash.high)
		(void)wrong(verdict, "SILENT WRONG READ: actor %s has another state than it should",
			    image->actors[n].name);
}

static void judge_served(struct pd_engine *engine, const struct image *image, const struct truth *truth,
			 const struct pd_recovery *recovery, struct verdict *verdict)
{
	struct pd_session *session = pd_session_new(engine, 1, "judge", "");

	if (session == NULL)
		(void)wrong(verdict, "out of memory");
	for (size_t n = 0; session != NULL && n < image->actor_count; n++)
		judge_actor(engine, session, image, n,
			    has_lost(engine, truth, recovery->applied_lsn, image->actors[n].id), verdict);
	if (recovery->quarantined_actors > 0)
		verdict->kind = OUTCOME_LOST;
	else if (recovery->damage_count > 0)
		verdict->kind = OUTCOME_WHOLE;
	else if (image->checkpoint_count > 0 && recovery->checkpoint_lsn == 0)
		verdict->kind = OUTCOME_REPLACED;
	pd_session_free(session);
}

void judge_engine(struct pd_os *os, const struct image *image, const struct truth *truth,
		  struct verdict *verdict)
{
	struct pd_engine_options options = image->options;
	struct pd_recovery recovery = { 0 };
	struct pd_engine *engine;
	struct pd_error err = { 0 };
	int result;

	*verdict = (struct verdict){ .kind = OUTCOME_UNSEEN };
	options.os = os;
	result = pd_engine_open(&options, &engine, &err);
	if (result != 0)
		engine = NULL;
	while (result == 0 && !recovery.done)
		result = pd_engine_recover(engine, UINT64_MAX, &recovery, &err);
	if (result == 0) {
		judge_served(engine, image, truth, &recovery, verdict);
	} else {
		verdict->kind = OUTCOME_REFUSED;
		verdict->unknown_actors = strstr(err.text, "nothing tells which actors") != NULL;
		if (result != PD_CORRUPT && result != PD_NEWER_FORMAT)
			(void)wrong(verdict, "opening ends with %s: %.300s", pd_code_name(result), err.text);
	}
	(void)pd_engine_close(engine, NULL);
}
