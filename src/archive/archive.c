#include "archive/archive.h"

#include <stdio.h>
#include <string.h>

#include "archive/round.h"
#include "base/assert.h"
#include "base/memory.h"
#include "base/plant.h"
#include "engine/engine.h"
#include "engine/follower.h"
#include "engine/manifest.h"
#include "os/os.h"
#include "provider/place.h"

#define PLACE_TEXTS    8u        /* of an address */
#define LOOK_US        20000u    /* a round is at work: is it over? */
#define HOLD_US        500000u   /* what is kept on the disk is judged anew */
#define URGENT_US      250000u   /* a round takes longer: the next does not give way to what serves */
#define RETRY_FIRST_US 1000000u  /* after a failure; twice as long after the next … */
#define RETRY_LAST_US  60000000u /* … up to that */

struct pd_archive {
	struct pd_os *os;
	struct pd_engine *engine;
	char *log_directory;
	struct pd_object_place place; /* of these: */
	char *texts[PLACE_TEXTS];
	uint64_t interval_us, disk_limit, retention_s;

	struct pd_archive_round round;
	struct pd_os_task *task; /* NULL: none is at work */
	uint64_t begun_us;       /* monotonic: the last one */
	uint64_t next_us;        /* monotonic: when the next may begin */
	uint64_t look_us;        /* and when there is anything to look at */
	unsigned failed;         /* rounds in a row */
	uint64_t failures, gaps;
	bool let_go;
	/* What the last round has told: while one is at work, its own words are being written. */
	bool refused;
	char failure[500], gap[700], hold[80];
};

const char *pd_archive_state_name(enum pd_archive_state state)
{
	switch (state) {
	case PD_ARCHIVE_STARTING:
		return "starting";
	case PD_ARCHIVE_FOLLOWING:
		return "following";
	case PD_ARCHIVE_FAILING:
		return "failing";
	case PD_ARCHIVE_REFUSED:
		return "refused";
	}
	return "unknown";
}

static uint64_t now_us(const struct pd_archive *archive)
{
	return pd_os_monotonic_ns(archive->os) / 1000;
}

/* ---- life ---- */

static const char **texts_of(struct pd_object_place *place, size_t n)
{
	const char **texts[PLACE_TEXTS] = { &place->address,    &place->s3_endpoint, &place->s3_region,
					    &place->s3_style,   &place->s3_ca_file,  &place->s3_encryption,
					    &place->s3_kms_key, &place->s3_profile };

	return n < PLACE_TEXTS ? texts[n] : NULL;
}

/* Its texts are the caller's. */
static int copy_place(struct pd_archive *archive, const struct pd_object_place *place, struct pd_error *err)
{
	struct pd_object_place given = *place;

	archive->place.s3_look_first = place->s3_look_first;
	for (size_t i = 0; texts_of(&given, i) != NULL; i++) {
		const char *text = *texts_of(&given, i);

		if (text == NULL)
			continue;
		*texts_of(&archive->place, i) = archive->texts[i] = pd_strdup(text);
		if (archive->texts[i] == NULL)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for the archive");
	}
	return 0;
}

/* A directory that is not there may be a disk that is not mounted yet: rounds try again. What is no address never becomes one. */
static int open_store(struct pd_archive *archive, struct pd_error *err)
{
	int result = pd_object_place_open(archive->os, &archive->place, "archive", &archive->round.store,
					  err);

	return result == PD_INVALID || result == PD_NO_MEMORY ? result : 0;
}

/* Where the log is, and whose. */
static int find_log(struct pd_archive *archive, struct pd_error *err)
{
	struct pd_follower *follower;
	struct pd_follower_place place;
	int result = pd_engine_follow(archive->engine, 1, &follower, err);

	if (result != 0)
		return result;
	place = pd_follower_place(follower);
	archive->log_directory = pd_manifest_log_directory(place.data_directory, 0);
	archive->round.source = (struct pd_log_options){ .os = place.os,
							 .directory = archive->log_directory };
	memcpy(archive->round.source.cluster_id, place.cluster_id, PD_CLUSTER_ID_SIZE);
	memcpy(archive->round.log.cluster_id, place.cluster_id, PD_CLUSTER_ID_SIZE);
	pd_engine_unfollow(follower);
	return archive->log_directory != NULL
		       ? 0
		       : pd_error_set(err, PD_NO_MEMORY, "out of memory for the archive");
}

int pd_archive_new(const struct pd_archive_options *options, struct pd_archive **ret_archive,
		   struct pd_error *err)
{
	struct pd_archive *archive = pd_calloc(1, sizeof *archive);
	int result;

	if (archive == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the archive");
	archive->os = archive->round.os = options->os;
	archive->engine = options->engine;
	archive->interval_us = options->interval_ms * 1000;
	archive->disk_limit = options->disk_limit;
	archive->retention_s = options->retention_s;
	archive->round.place_of_store = &archive->place;
	atomic_init(&archive->round.cancelled, false);
	result = copy_place(archive, options->place, err);
	if (result == 0)
		result = find_log(archive, err);
	if (result == 0)
		result = open_store(archive, err);
	if (result != 0) {
		pd_archive_free(archive);
		return result;
	}
	/* Until it is known how far the archive has come. */
	pd_engine_keep_log(archive->engine, 1);
	*ret_archive = archive;
	return 0;
}

/* Waits for it. */
static void end_task(struct pd_archive *archive)
{
	pd_os_task_join(archive->task);
	archive->task = NULL;
}

void pd_archive_free(struct pd_archive *archive)
{
	if (archive == NULL)
		return;
	atomic_store(&archive->round.cancelled, true);
	end_task(archive);
	pd_engine_keep_log(archive->engine, UINT64_MAX);
	pd_archive_round_done(&archive->round);
	for (size_t i = 0; texts_of(&archive->place, i) != NULL; i++)
		pd_free(archive->texts[i]);
	pd_free(archive->log_directory);
	pd_free(archive);
}

/* ---- rounds ---- */

/* How far the archive is behind, and what waits for it on the disk. */
static void keep_log(struct pd_archive *archive)
{
	uint64_t lsn = atomic_load(&archive->round.figures.segment_lsn), waiting;

	if (lsn == 0)
		lsn = 1; /* not known yet */
	waiting = pd_engine_log_bytes_since(archive->engine, lsn);
	archive->let_go = archive->disk_limit > 0 && waiting > archive->disk_limit;
	/* One record more, so that the segment before stays as well: frames of the next record may begin in it. */
	pd_engine_keep_log(archive->engine, archive->let_go || pd_plant(PD_PLANT_ARCHIVE_HOLDS_NOTHING)
						    ? UINT64_MAX
						    : lsn - 1);
}

/* Twice as long each time, and not all servers at once. */
static uint64_t retry_us(struct pd_archive *archive)
{
	uint64_t wait = RETRY_FIRST_US << (archive->failed < 7 ? archive->failed - 1 : 6);
	uint32_t chance;

	if (wait > RETRY_LAST_US)
		wait = RETRY_LAST_US;
	pd_os_random(archive->os, &chance, sizeof chance);
	return wait / 2 + wait / 2 * (chance % 1024) / 1023;
}

static void note_failure(struct pd_archive *archive)
{
	archive->failed++;
	archive->failures++;
	archive->next_us = now_us(archive) + retry_us(archive);
	(void)snprintf(archive->failure, sizeof archive->failure, "%s", archive->round.err.text);
}

/* The round is over: its words can be read. */
static void hear(struct pd_archive *archive)
{
	const struct pd_archive_round *round = &archive->round;

	(void)snprintf(archive->gap, sizeof archive->gap, "%s", round->gap);
	(void)snprintf(archive->hold, sizeof archive->hold, "%s", round->hold);
	archive->gaps = atomic_load(&round->figures.gaps);
	archive->refused = round->refused;
}

/* From one round's begin to the next one's. What becomes durable right behind the first waits for as long, and then for the second, which may take twice
 * what the first did: within the interval all of that. Seldom is better: fewer, larger pieces. */
static uint64_t pause_us(const struct pd_archive *archive, uint64_t took_us)
{
	uint64_t most = archive->interval_us - archive->interval_us / 8, least = archive->interval_us / 2;

	if (took_us >= archive->interval_us / 4)
		return least;
	return archive->interval_us - 2 * took_us < most ? archive->interval_us - 2 * took_us : most;
}

static void take_in(struct pd_archive *archive)
{
	struct pd_archive_round *round = &archive->round;
	uint64_t took_us;

	end_task(archive);
	hear(archive);
	took_us = now_us(archive) - archive->begun_us;
	round->urgent = took_us > URGENT_US;
	if (round->result == 0) {
		archive->failed = 0;
		archive->next_us = archive->begun_us + pause_us(archive, took_us);
		return;
	}
	note_failure(archive);
}

static void run(void *argument)
{
	struct pd_archive_round *round = argument;

	if (!round->urgent)
		pd_os_task_give_way(round->os);
	pd_archive_round_run(round);
}

static void begin(struct pd_archive *archive)
{
	struct pd_archive_round *round = &archive->round;
	uint64_t first_lsn;
	int result;

	pd_engine_log_reach(archive->engine, &first_lsn, &round->durable_lsn);
	if (pd_plant(PD_PLANT_ARCHIVE_AHEAD))
		pd_engine_now(archive->engine, &first_lsn, &round->durable_lsn);
	/* Nothing new: but that of a sealed segment the whole is wanted, which comes with its successor's first record. */
	if (round->place.known && round->durable_lsn < round->place.next_lsn && archive->failed == 0) {
		archive->next_us = now_us(archive) + archive->interval_us / 2;
		return;
	}
	round->retention_us = archive->retention_s * 1000000;
	archive->begun_us = now_us(archive);
	result = pd_os_task_start(archive->os, run, round, &archive->task, &round->err);
	if (result == 0)
		return;
	round->result = result;
	note_failure(archive);
}

void pd_archive_tick(struct pd_archive *archive)
{
	uint64_t now = now_us(archive);

	if (now < archive->look_us)
		return;
	if (archive->task != NULL && pd_os_task_finished(archive->task))
		take_in(archive);
	if (archive->task == NULL && now >= archive->next_us)
		begin(archive);
	keep_log(archive);
	archive->look_us = now + (archive->task != NULL ? LOOK_US : HOLD_US);
	if (archive->task == NULL && archive->next_us < archive->look_us)
		archive->look_us = archive->next_us;
}

void pd_archive_finish(struct pd_archive *archive, uint64_t patience_us)
{
	struct pd_archive_round *round = &archive->round;
	uint64_t first_lsn;

	/* The round at work asks for the time, too. */
	atomic_store(&round->until_ns, pd_os_monotonic_ns(archive->os) + patience_us * 1000);
	if (archive->task != NULL)
		take_in(archive);
	if (archive->failed > 0)
		return;
	pd_engine_log_reach(archive->engine, &first_lsn, &round->durable_lsn);
	pd_archive_round_run(round);
	hear(archive);
	if (round->result != 0)
		note_failure(archive);
}

uint64_t pd_archive_deadline_us(const struct pd_archive *archive)
{
	return archive->look_us;
}

void pd_archive_set_interval(struct pd_archive *archive, uint64_t ms)
{
	archive->interval_us = ms * 1000;
	if (archive->failed == 0)
		archive->next_us = archive->look_us = 0;
}

void pd_archive_set_retention(struct pd_archive *archive, uint64_t seconds)
{
	archive->retention_s = seconds;
}

void pd_archive_set_disk_limit(struct pd_archive *archive, uint64_t bytes)
{
	archive->disk_limit = bytes;
}

/* ---- what is told ---- */

static enum pd_archive_state state_of(const struct pd_archive *archive)
{
	if (archive->failed > 0)
		return archive->refused ? PD_ARCHIVE_REFUSED : PD_ARCHIVE_FAILING;
	return atomic_load(&archive->round.figures.segment_lsn) == 0 ? PD_ARCHIVE_STARTING
								     : PD_ARCHIVE_FOLLOWING;
}

void pd_archive_status(const struct pd_archive *archive, struct pd_archive_status *ret_status)
{
	const struct pd_archive_figures *figures = &archive->round.figures;
	uint64_t next_lsn = atomic_load(&figures->next_lsn), segment_lsn = atomic_load(&figures->segment_lsn);
	uint64_t first_lsn, now = now_us(archive);
	struct pd_archive_status status = {
		.address = archive->place.address,
		.working = archive->task != NULL,
		.base_lsn = atomic_load(&figures->base),
		.archived_lsn = next_lsn > 0 ? next_lsn - 1 : 0,
		.archived_us = atomic_load(&figures->time_us),
		.disk_limit = archive->disk_limit,
		.let_go = archive->let_go,
		.objects = atomic_load(&figures->objects),
		.bytes = atomic_load(&figures->bytes),
		.failures = archive->failures,
		.gaps = archive->gaps,
		.failure = archive->failed > 0 ? archive->failure : "",
		.gap = archive->gap,
		.expired = atomic_load(&figures->expired),
		.hold = archive->hold,
	};
	struct pd_engine_stats stats;

	pd_engine_log_reach(archive->engine, &first_lsn, &status.durable_lsn);
	pd_engine_stats(archive->engine, &stats);
	status.state = state_of(archive);
	if (status.durable_lsn > status.archived_lsn) {
		status.lag_bytes = pd_engine_log_bytes_since(archive->engine, next_lsn > 0 ? next_lsn : 1);
		if (stats.time_us > status.archived_us && status.archived_us > 0)
			status.lag_us = stats.time_us - status.archived_us;
	}
	status.waiting_bytes = pd_engine_log_bytes_since(archive->engine, segment_lsn > 0 ? segment_lsn : 1);
	if (archive->failed > 0 && archive->next_us > now)
		status.retry_us = archive->next_us - now;
	*ret_status = status;
}
