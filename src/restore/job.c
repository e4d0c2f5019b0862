/* Jobs. One goes through stages, some of which are tasks. Of an actor that stays, which little may have to be done to, look.c has the first:
 *
 *     LINE, LOOK, FOUND
 *
 * What they do not end, and all others go on:
 *
 *     TURN        a few are at work at a time
 *     SETTLE      what was written before it must be on stable storage
 *     FIND        task: which actor, which moment; its state of then is opened; of a restore: what is to be done; a snapshot that is
 *                 verified is hashed, and that was all
 *     AMEND       a restore that puts little back does so, and is done; if the actor was written to meanwhile, it begins again
 *     RELATE      of a restore of relations alone: they are put back, and that was all
 *     BEGIN       a draft
 *     FILL        task: the next piece         <-+
 *     PUT         it is written into the draft --+
 *     VIEW        what was written can be read beside the serving
 *     VERIFY      task: the hash of what was, and that of what was written
 *     PUBLISH     it gets the name, of an actor or of a snapshot
 *
 * Exports and imports have stages of their own: transfer.c. The task touches its own struct, and files. */
#include "restore/job.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "model/txn.h"
#include "restore/entry.h"
#include "restore/job_private.h"
#include "restore/revert.h"

#define PIECE_KEPT  ((size_t)4 * PD_COPY_PIECE)
#define VIEWS_MAX   5u  /* that may be given up before the job is */
#define TRIES_MAX   3u  /* to put little back, before everything is written anew */
#define REVERTS_MAX 20u /* tries to revert what others write to all the time */

static bool same_hash(struct pd_hash128 one, struct pd_hash128 other)
{
	return one.high == other.high && one.low == other.low;
}

/* ---- in the tasks ---- */

int pd_restore_go_on(void *context, uint64_t done_bytes)
{
	struct pd_restore_job *job = context;

	(void)done_bytes;
	if (atomic_load(&job->cancelled))
		return PD_CANCELLED;
	return pd_follower_is_served(job->follower) ? 0 : PD_VIEW_TOO_OLD;
}

static bool go_on_hashing(void *context, uint64_t entries)
{
	struct pd_restore_job *job = context;

	(void)entries;
	return !atomic_load(&job->cancelled);
}

/* All that the actor was related to then, into the piece. */
static int read_relations(struct pd_restore_job *job)
{
	static const uint8_t space = PD_SPACE_RELATION, behind = PD_SPACE_RELATION + 1;
	struct pd_past_cursor cursor;
	struct pd_entry entry;
	int result;

	pd_past_seek(job->source.past, pd_slice(&space, 1), pd_slice(&behind, 1), &cursor);
	while ((result = pd_past_next(&cursor, &entry, &job->err)) == 1) {
		struct pd_entry_parts parts = { .type = entry.type, .key = entry.key, .value = entry.value };

		result = pd_entry_append(&job->piece, &parts, &job->err);
		if (result != 0)
			return result;
	}
	return result;
}

void pd_restore_run_find(struct pd_restore_job *job)
{
	job->result = 0;
	if (job->order.verb == PD_RESTORE_REVERT) {
		job->result = pd_restore_plan_revert(&job->plan, job->history, &job->order, &job->known,
						     &job->source, &job->err);
		return;
	}
	job->result = pd_restore_find(job->history, &job->order, &job->known, &job->source, &job->err);
	if (job->result == 0 && job->order.verb == PD_RESTORE_VERIFY)
		job->result = pd_past_hash(job->source.past, &job->all, NULL, &job->err);
	if (job->order.relations) {
		if (job->result == 0)
			job->result = read_relations(job);
		return;
	}
	if (job->result == 0 && job->order.verb == PD_RESTORE_RESTORE && job->tries < TRIES_MAX)
		job->result = pd_restore_plan_make(&job->plan, job->history, &job->source, job->known.actor,
						   &job->err);
}

static void run_find(void *argument)
{
	struct pd_restore_job *job = argument;

	job->result = pd_history_open(&job->options, &job->history, &job->err);
	if (job->result != 0)
		return;
	pd_restore_run_find(job);
	if (job->result == 0)
		job->found_keys = pd_past_key_count(job->source.past);
}

static void run_fill(void *argument)
{
	struct pd_restore_job *job = argument;

	job->result = pd_restore_go_on(job, 0);
	if (job->result == 0)
		job->result = pd_copy_fill(&job->copy, &job->piece, &job->end, &job->err);
	else
		(void)pd_error_set(&job->err, job->result, "it took too long");
}

static void run_verify(void *argument)
{
	struct pd_restore_job *job = argument;

	job->result = 0;
	if (job->order.verb == PD_RESTORE_IMPORT)
		job->was = job->reader.hash;
	else
		job->result = pd_past_hash(job->source.past, &job->all, &job->was, &job->err);
	if (job->copy.relations)
		job->was = job->all;
	if (job->result == 0)
		job->result = pd_engine_view_hash(job->view, job->draft_id, go_on_hashing, job, &job->is,
						  &job->err);
}

/* ---- their owner ---- */

struct pd_restore_jobs *pd_restore_jobs_new(struct pd_engine *engine)
{
	struct pd_restore_jobs *jobs = pd_calloc(1, sizeof *jobs);

	if (jobs != NULL)
		jobs->engine = engine;
	return jobs;
}

/* What was opened to look at the past. */
static void close_past(struct pd_restore_job *job)
{
	pd_engine_unwatch(job->jobs->engine, &job->watch);
	pd_restore_plan_done(&job->plan);
	pd_past_close(job->source.past);
	job->source.past = NULL;
	pd_history_close(job->history);
	job->history = NULL;
	pd_engine_unfollow(job->follower);
	job->follower = NULL;
}

void pd_restore_destroy(struct pd_restore_job *job)
{
	struct pd_restore_job **at = &job->jobs->first;

	while (*at != NULL && *at != job)
		at = &(*at)->next;
	if (*at == job)
		*at = job->next;
	pd_os_task_join(job->task);
	pd_draft_discard(job->draft);
	pd_engine_view_close(job->view);
	pd_copy_done(&job->copy);
	pd_export_done(&job->export);
	pd_import_reader_done(&job->reader);
	close_past(job);
	pd_restore_order_done(&job->order);
	pd_buffer_done(&job->names);
	pd_buffer_done(&job->piece);
	pd_buffer_done(&job->reply);
	pd_free(job->arrival.missing);
	pd_free(job);
}

void pd_restore_jobs_free(struct pd_restore_jobs *jobs)
{
	if (jobs == NULL)
		return;
	for (struct pd_restore_job *job = jobs->first; job != NULL; job = job->next)
		atomic_store(&job->cancelled, true);
	pd_restore_look_done(jobs);
	while (jobs->first != NULL)
		pd_restore_destroy(jobs->first);
	pd_free(jobs);
}

/* Nobody goes on with it: what it holds goes, and who comes after all is told. */
static void give_up(struct pd_restore_job *job)
{
	pd_draft_discard(job->draft);
	job->draft = NULL;
	pd_export_done(&job->export);
	pd_export_init(&job->export, &job->source, pd_slice(NULL, 0));
	pd_import_reader_done(&job->reader);
	pd_restore_init_import(job);
	pd_buffer_done(&job->piece);
	pd_buffer_done(&job->reply);
	close_past(job);
	job->stage = PD_STAGE_OVER;
}

void pd_restore_jobs_tick(struct pd_restore_jobs *jobs)
{
	struct pd_restore_job *job, *next;

	pd_restore_jobs_work(jobs);
	pd_restore_look_tick(jobs);
	for (job = jobs->first; job != NULL; job = next) {
		next = job->next;
		if (job->unwanted && job->look == NULL &&
		    (job->task == NULL || pd_os_task_finished(job->task)))
			pd_restore_destroy(job);
		else if (pd_restore_is_idle(job))
			give_up(job);
	}
}

void pd_restore_job_free(struct pd_restore_job *job)
{
	if (job == NULL)
		return;
	atomic_store(&job->cancelled, true);
	job->unwanted = true;
	/* Its session may go now. */
	pd_draft_discard(job->draft);
	job->draft = NULL;
	job->session = NULL;
	pd_restore_jobs_tick(job->jobs);
}

bool pd_restore_jobs_progress(const struct pd_restore_jobs *jobs, const struct pd_session *session, size_t n,
			      struct pd_restore_progress *ret_progress)
{
	static const char *const stages[] = {
		[PD_STAGE_LINE] = "waiting",     [PD_STAGE_TURN] = "waiting",
		[PD_STAGE_LOOK] = "looking",     [PD_STAGE_FOUND] = "looking",
		[PD_STAGE_SETTLE] = "looking",   [PD_STAGE_FIND] = "looking",
		[PD_STAGE_AMEND] = "writing",    [PD_STAGE_BEGIN] = "writing",
		[PD_STAGE_RELATE] = "writing",   [PD_STAGE_FILL] = "writing",
		[PD_STAGE_PUT] = "writing",      [PD_STAGE_VIEW] = "comparing",
		[PD_STAGE_VERIFY] = "comparing", [PD_STAGE_PUBLISH] = "publishing",
		[PD_STAGE_WRITE] = "reading",    [PD_STAGE_HANDED] = "reading",
		[PD_STAGE_TAKE] = "writing",     [PD_STAGE_OVER] = "over",
		[PD_STAGE_DONE] = "done",
	};

	for (const struct pd_restore_job *job = jobs->first; job != NULL; job = job->next) {
		if (job->unwanted || !pd_session_reaches(session, job->known.tenant) || n-- > 0)
			continue;
		*ret_progress = (struct pd_restore_progress){
			.order = pd_restore_verb_name(job->order.verb),
			.stage = stages[job->stage],
			.actor = job->known.name,
			.keys = job->written_keys,
			.keys_total = job->total_keys,
			.bytes = job->written_bytes,
			.elapsed_us = pd_os_monotonic_ns(job->options.os) / 1000 - job->begun_us,
		};
		return true;
	}
	return false;
}

/* ---- its stages: 0: go on with the next; 1: not yet ---- */

static int settle(struct pd_restore_job *job, struct pd_error *err)
{
	int settled = pd_engine_settled(job->jobs->engine, &job->wait);

	if (settled < 0)
		return pd_error_set(err, settled, "%s", pd_engine_fence_text(job->jobs->engine));
	if (settled == 0)
		return 1;
	job->stage = PD_STAGE_FIND;
	return 0;
}

int pd_restore_run_task(struct pd_restore_job *job, void (*run)(void *argument), struct pd_error *err)
{
	if (job->task == NULL) {
		int result = pd_os_task_start(job->options.os, run, job, &job->task, err);

		if (result != 0)
			return result;
	}
	if (!pd_os_task_finished(job->task))
		return 1;
	pd_os_task_join(job->task);
	job->task = NULL;
	return job->result == 0 ? 0 : pd_error_set(err, job->result, "%s", job->err.text);
}

static int fail(struct pd_restore_job *job, struct pd_error *err)
{
	return pd_error_set(err, job->result, "%s", job->err.text);
}

/* What a snapshot has must be what it was when it was made. */
static int check_remembered(const struct pd_restore_job *job, struct pd_error *err)
{
	const struct pd_restore_source *source = &job->source;

	if (!source->is_snapshot || same_hash(job->all, source->hash))
		return 0;
	return pd_error_set(
		err, PD_CORRUPT,
		"the snapshot is not what it was when it was made: take another moment, and check "
		"what is stored with 'perdure store verify' and 'perdure log verify'");
}

/* What comes of what was found. */
static int decide(struct pd_restore_job *job, struct pd_error *err)
{
	int result;

	job->total_keys = job->found_keys;
	job->stage = PD_STAGE_BEGIN;
	if (job->order.verb == PD_RESTORE_VERIFY) {
		job->stage = PD_STAGE_DONE;
		result = check_remembered(job, err);
		if (result == 0)
			pd_restore_write_snapshot(job);
		return result;
	}
	if (job->order.verb == PD_RESTORE_EXPORT) {
		pd_export_init(&job->export, &job->source, job->known.name);
		job->export.without_relations = job->order.without_relations;
		job->stage = PD_STAGE_WRITE;
		return 0;
	}
	if (job->order.relations) {
		job->stage = PD_STAGE_RELATE;
		return 0;
	}
	if (pd_restore_changes_own(job) && (job->order.dry_run || job->plan.way == PD_RESTORE_NOTHING))
		job->stage = PD_STAGE_DONE;
	else if (pd_restore_changes_own(job) && job->plan.way == PD_RESTORE_CHANGES)
		job->stage = PD_STAGE_AMEND;
	if (job->stage == PD_STAGE_DONE)
		pd_restore_write_changed(job);
	return 0;
}

static int find(struct pd_restore_job *job, struct pd_error *err)
{
	int result = pd_restore_run_task(job, run_find, err);

	if (result != 0)
		return result;
	job->copy.past = job->source.past;
	job->copy.relations = job->order.verb == PD_RESTORE_SNAPSHOT;
	return decide(job, err);
}

static int look(struct pd_restore_job *job, struct pd_error *err)
{
	(void)err;
	pd_restore_jobs_work(job->jobs);
	return job->stage == PD_STAGE_LINE || job->stage == PD_STAGE_LOOK;
}

static int found(struct pd_restore_job *job, struct pd_error *err)
{
	return job->result != 0 ? fail(job, err) : decide(job, err);
}

/* Look again, at what has come since. The moment stays the one that was meant. */
static void begin_again(struct pd_restore_job *job)
{
	const struct pd_moment *moment = &job->source.moment;

	job->tries++;
	/* One of a snapshot stays by itself. */
	if (!job->source.is_snapshot)
		job->order.at = (struct pd_moment_name){ .kind = moment->lsn > 0 ? PD_MOMENT_BOOKMARK
										 : PD_MOMENT_LSN,
							 .epoch = moment->epoch,
							 .lsn = moment->lsn };
	close_past(job);
	pd_buffer_clear(&job->piece);
	job->alone = false;
	job->stage = job->order.verb == PD_RESTORE_RESTORE && job->tries >= TRIES_MAX ? PD_STAGE_TURN
										      : PD_STAGE_LINE;
}

static int amend(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_amendment amendment = { .actor = job->known.actor,
					  .entries = pd_buffer_slice(&job->plan.inverse.entries),
					  .keys = job->plan.inverse.keys,
					  .count = job->plan.inverse.count,
					  .blobs = job->plan.inverse.blobs };
	int result = pd_engine_amend(job->jobs->engine, job->session, &job->watch, &amendment, &job->receipt,
				     err);

	/* What was reverted is not found in any other way. */
	if (result == PD_CONFLICT && (job->order.verb == PD_RESTORE_RESTORE || job->tries < REVERTS_MAX)) {
		begin_again(job);
		pd_restore_jobs_work(job->jobs);
		return 1;
	}
	if (result != 0)
		return result == PD_AGAIN ? 1 : result;
	pd_restore_write_changed(job);
	job->stage = PD_STAGE_DONE;
	return 0;
}

static int relate(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_relations_order order = { .actor = job->known.actor,
					    .entries = pd_buffer_slice(&job->piece),
					    .dry_run = job->order.dry_run };
	int result = pd_engine_set_relations(job->jobs->engine, job->session, &order, &job->related,
					     &job->receipt, err);

	if (result != 0)
		return result == PD_AGAIN ? 1 : result;
	pd_restore_write_related(job);
	job->stage = PD_STAGE_DONE;
	return 0;
}

static int begin(struct pd_restore_job *job, struct pd_error *err)
{
	int result = pd_draft_begin(job->jobs->engine, job->session, job->known.tenant, &job->draft,
				    &job->receipt, err);

	if (result != 0)
		return result == PD_AGAIN ? 1 : result;
	job->draft_id = pd_draft_id(job->draft);
	job->stage = PD_STAGE_FILL;
	return 0;
}

static int fill(struct pd_restore_job *job, struct pd_error *err)
{
	int result = pd_restore_run_task(job, run_fill, err);

	if (result == 0)
		job->stage = PD_STAGE_PUT;
	return result;
}

int pd_restore_put_piece(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_slice rest = pd_slice(job->piece.data + job->put, job->piece.size - job->put);
	size_t size = pd_entry_run(rest);
	int result = pd_draft_put(job->draft, pd_slice(rest.data, size), &job->receipt, err);

	if (result != 0)
		return result;
	job->put += size;
	if (job->put == job->piece.size) {
		pd_buffer_clear(&job->piece);
		pd_buffer_shrink(&job->piece, PIECE_KEPT);
		job->put = 0;
	}
	return 0;
}

/* One record at a time. */
static int put(struct pd_restore_job *job, struct pd_error *err)
{
	uint64_t first;
	int result;

	if (job->piece.size > 0) {
		result = pd_restore_put_piece(job, err);
		if (result == 0) {
			job->written_keys = job->copy.keys;
			job->written_bytes = job->copy.bytes;
		}
	} else if (job->end == PD_COPY_NUMBERS) {
		result = pd_draft_blobs(job->draft, PD_RESTORE_NUMBERS, &first, &job->receipt, err);
		if (result == 0) {
			pd_copy_give(&job->copy, first, PD_RESTORE_NUMBERS);
			job->end = PD_COPY_MORE;
		}
	} else {
		job->stage = job->end == PD_COPY_ALL ? PD_STAGE_VIEW : PD_STAGE_FILL;
		return 0;
	}
	return result == 0 || result == PD_AGAIN ? 1 : result;
}

static int open_view(struct pd_restore_job *job, struct pd_error *err)
{
	struct pd_wait wait;
	int result = pd_engine_view_open(job->jobs->engine, &job->view, &wait, err);

	if (result != 0)
		return result == PD_AGAIN ? 1 : result;
	job->stage = PD_STAGE_VERIFY;
	return 0;
}

static int verify(struct pd_restore_job *job, struct pd_error *err)
{
	int result = pd_restore_run_task(job, run_verify, err);

	if (result == 1)
		return 1;
	pd_engine_view_close(job->view);
	job->view = NULL;
	/* Others needed the memory that it kept. */
	if (result == PD_VIEW_TOO_OLD && (job->follower == NULL || pd_follower_is_served(job->follower)) &&
	    ++job->views < VIEWS_MAX) {
		job->stage = PD_STAGE_VIEW;
		return 1;
	}
	if (result != 0)
		return result;
	result = check_remembered(job, err);
	if (result != 0)
		return result;
	if (!same_hash(job->was, job->is) && job->order.verb == PD_RESTORE_IMPORT)
		return pd_error_set(
			err, PD_CORRUPT,
			"what was imported is not what was exported, by the hash of all of it: nothing "
			"was made. Export it again");
	if (!same_hash(job->was, job->is))
		return pd_error_set(err, PD_CORRUPT,
				    "what was written is not what the actor had at LSN %" PRIu64
				    ": nothing was changed. Look at the log with 'perdure log verify'",
				    job->source.moment.lsn);
	job->stage = PD_STAGE_PUBLISH;
	return 0;
}

/* The draft becomes a snapshot. */
static int keep(struct pd_restore_job *job, struct pd_error *err)
{
	const struct pd_moment *moment = &job->source.moment;
	struct pd_snapshot_record record = { .actor = job->source.actor,
					     .epoch = moment->epoch,
					     .lsn = moment->lsn,
					     .time_us = moment->time_us,
					     .keep_us = job->order.keep_us,
					     .hash = job->all,
					     .profile = job->source.profile };
	int result;

	if (job->order.snapshot.size == 0) {
		pd_timestamp_format(moment->time_us, 6, job->snapshot_name);
		job->order.snapshot = pd_slice_string(job->snapshot_name);
	}
	result = pd_draft_keep(job->draft, job->known.name, job->order.snapshot, &record, &job->receipt, err);
	if (result != 0)
		return result == PD_AGAIN ? 1 : result;
	job->draft = NULL;
	pd_restore_write_snapshot(job);
	job->stage = PD_STAGE_DONE;
	return 0;
}

static int publish(struct pd_restore_job *job, struct pd_error *err)
{
	bool restores = job->order.verb == PD_RESTORE_RESTORE;
	bool replaces = restores || job->order.replaces;
	struct pd_draft_place place = { .name = job->order.name,
					.instead_of = replaces ? job->known.actor : 0,
					.profile = job->source.profile };
	int result = 0;

	if (job->order.verb == PD_RESTORE_SNAPSHOT)
		return keep(job, err);
	if (job->order.verb == PD_RESTORE_IMPORT)
		result = pd_restore_place_import(job, &place, err);
	if (result == 0)
		result = pd_draft_publish(job->draft, &place, &job->receipt, err);
	if (result != 0)
		return result == PD_AGAIN ? 1 : result;
	job->draft = NULL;
	if (restores)
		pd_restore_write_changed(job);
	else if (job->order.verb == PD_RESTORE_IMPORT)
		pd_restore_write_imported(job);
	else
		pd_restore_write_made(job);
	job->stage = PD_STAGE_DONE;
	return 0;
}

void pd_restore_jobs_work(struct pd_restore_jobs *jobs)
{
	pd_restore_look_work(jobs);
}

bool pd_restore_jobs_rest(const struct pd_restore_jobs *jobs)
{
	return jobs->look == NULL;
}

bool pd_restore_job_waits(const struct pd_restore_job *job)
{
	return (job->stage == PD_STAGE_LINE && job->jobs->look != NULL) || job->stage == PD_STAGE_TURN ||
	       (job->stage == PD_STAGE_LOOK && pd_restore_look_holds(job));
}

int pd_restore_job_work(struct pd_restore_job *job, struct pd_slice *ret_reply,
			const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	static int (*const stages[])(struct pd_restore_job * job, struct pd_error * err) = {
		[PD_STAGE_LINE] = look,
		[PD_STAGE_LOOK] = look,
		[PD_STAGE_FOUND] = found,
		[PD_STAGE_TURN] = pd_restore_turn,
		[PD_STAGE_AMEND] = amend,
		[PD_STAGE_RELATE] = relate,
		[PD_STAGE_SETTLE] = settle,
		[PD_STAGE_FIND] = find,
		[PD_STAGE_BEGIN] = begin,
		[PD_STAGE_FILL] = fill,
		[PD_STAGE_PUT] = put,
		[PD_STAGE_VIEW] = open_view,
		[PD_STAGE_VERIFY] = verify,
		[PD_STAGE_PUBLISH] = publish,
		[PD_STAGE_WRITE] = pd_restore_write_lines,
		[PD_STAGE_OVER] = pd_restore_say_over,
	};
	int result = 0;

	PD_ASSERT(job->stage != PD_STAGE_TAKE);
	while (result == 0 && job->stage != PD_STAGE_DONE && job->stage != PD_STAGE_HANDED)
		result = stages[job->stage](job, err);
	if (result != 0)
		return result;
	*ret_reply = pd_buffer_slice(&job->reply);
	*ret_receipt = &job->receipt;
	return 0;
}
