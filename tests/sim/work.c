/* What clients do, one thing after another, and when they are shown a reply. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/upkeep.h"
#include "world.h"

#define LATE_STEPS_MAX  60      /* steps at due times, within which whatever is in flight lands */
#define ROOM_NOTICED_US 1200000 /* after which writes must be taken again on a disk that was full */
#define AGAIN_MAX       20000u  /* times that a write is told to come again */

/* ---- lists ---- */

static void *grow(void *list, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return list;
	*capacity = *capacity > 0 ? 2 * *capacity : 64;
	list = realloc(list, *capacity * size);
	if (list == NULL) {
		(void)fprintf(stderr, "sim: out of memory\n");
		exit(2);
	}
	return list;
}

static uint64_t monotonic_us(const struct world *world)
{
	return pd_os_monotonic_ns(world->os) / 1000;
}

/* ---- clients ---- */

static bool place_client(struct world *world, struct client *client)
{
	char name[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_error err;
	struct chance *chance = &world->chance;

	large_drop(world, client);
	client->tenant = chance_one_in(chance, 3) ? (uint8_t)chance_below(chance, WORLD_TENANTS) : 0;
	client->actor = (uint8_t)chance_below(chance, WORLD_ACTORS);
	client->one_actor = true;
	if (client->tenant == 0 && chance_one_in(chance, 2)) {
		client->actor = 0;
		client->one_actor = false;
		name[0] = '\0';
	} else if (client->tenant == 0) {
		(void)snprintf(name, sizeof name, "%s", actor_name(client->actor));
	} else {
		(void)snprintf(name, sizeof name, "%s/%s", tenant_name(client->tenant),
			       actor_name(client->actor));
	}
	if (pd_session_use(client->session, pd_slice_string(name), &err) != 0)
		return world_fail(world, "cannot use '%s': %s", name, err.text);
	return true;
}

bool work_place(struct world *world, unsigned number, uint8_t tenant, uint8_t actor, bool one_actor)
{
	struct client *client = &world->clients[number];
	char name[2 * PD_NAME_SIZE_MAX + 2];
	struct pd_error err;

	client->tenant = tenant;
	client->actor = actor;
	client->one_actor = one_actor;
	client->level = PD_LEVEL_UNSET;
	client->read_strict = false;
	pd_session_set_read_strict(client->session, false);
	(void)snprintf(name, sizeof name, "%s/%s", tenant_name(tenant), actor_name(actor));
	if (pd_session_use(client->session, one_actor ? pd_slice_string(name) : pd_slice(NULL, 0), &err) !=
		    0 ||
	    pd_session_set_level(client->session, PD_LEVEL_UNSET, &err) != 0)
		return world_fail(world, "cannot use '%s': %s", name, err.text);
	return true;
}

static bool set_level(struct world *world, struct client *client)
{
	static const enum pd_level levels[] = { PD_LEVEL_UNSET,       PD_LEVEL_UNSET,    PD_LEVEL_NONE,
						PD_LEVEL_PERFORMANCE, PD_LEVEL_STANDARD, PD_LEVEL_STRICT };
	struct pd_error err;

	client->level = levels[chance_below(&world->chance, 6)];
	/* Where nothing keeps the state from moving on. */
	if (world->plague == PLAGUE_NONE && world->options.levels != PD_LEVELS_NONE &&
	    chance_one_in(&world->chance, 10))
		client->level = PD_LEVEL_FULL;
	client->read_strict = chance_one_in(&world->chance, 6);
	pd_session_set_read_strict(client->session, client->read_strict);
	if (pd_session_set_level(client->session, client->level, &err) != 0)
		return world_fail(world, "cannot set the level: %s", err.text);
	return true;
}

/* Somebody may use a version that was read before a crash, unless the crash took it away. */
static void forget_lost_watches(struct world *world)
{
	size_t kept = 0;

	for (size_t i = 0; i < world->watch_count; i++)
		if (world->watches[i].version.lsn <= world->survived_lsn)
			world->watches[kept++] = world->watches[i];
	world->watch_count = kept;
}

void work_begin(struct world *world)
{
	world->flushes_seen = world->checkpoints_seen = 0;
	world->held_count = 0;
	world->weak_first = world->weak_count = 0;
	forget_lost_watches(world);
	for (unsigned i = 0; i < WORLD_SESSIONS; i++) {
		struct client *client = &world->clients[i];

		*client = (struct client){ .resp3 = chance_one_in(&world->chance, 2) };
		client->session = pd_session_new(world->engine, ++world->client_number, "default",
						 "simulated");
		if (client->session == NULL) {
			(void)world_fail(world, "no memory for a session");
			return;
		}
		(void)!(place_client(world, client) && set_level(world, client));
	}
}

/* What the disk would not give is damage to whoever looks at all of the state. */
static void note_doubt(struct world *world)
{
	struct pd_engine_stats stats;

	if (world->engine == NULL || world->plague != PLAGUE_ERRORS || !world->plagued)
		return;
	pd_engine_stats(world->engine, &stats);
	world->state_doubted |= strstr(stats.state_damage, strerror(EIO)) != NULL ||
				strstr(stats.state_damage, strerror(ENOSPC)) != NULL;
}

void work_end(struct world *world)
{
	note_doubt(world);
	views_end(world);
	large_end(world);
	copies_let_go(world);
	pd_engine_unfollow(world->follower);
	world->follower = NULL;
	for (unsigned i = 0; i < WORLD_SESSIONS; i++) {
		pd_session_free(world->clients[i].session);
		world->clients[i].session = NULL;
	}
	world->totals->unknown += world->held_count;
	world->held_count = 0;
}

/* ---- replies ---- */

static void raise_floor(uint64_t *floor, uint64_t lsn)
{
	if (lsn > *floor)
		*floor = lsn;
}

bool work_hold(struct world *world, unsigned client, const struct pd_receipt *receipt)
{
	struct held *held;

	world->held = grow(world->held, world->held_count, &world->held_capacity, sizeof *world->held);
	held = &world->held[world->held_count++];
	*held = (struct held){ .client = client,
			       .wait = receipt->wait,
			       .strict_lsn = world->strict_lsn,
			       .standard_lsn = world->standard_lsn,
			       .full_lsn = world->full_lsn,
			       .epoch = receipt->epoch,
			       .lsn = receipt->duplicate ? 0 : receipt->lsn };
	if (world->clients[client].read_strict)
		held->strict_lsn = world->newest_lsn;
	/* Nobody waits for what is weaker than that. */
	if (held->wait.durable_lsn > held->strict_lsn || held->wait.written_lsn > held->standard_lsn ||
	    held->wait.applied_lsn > held->full_lsn)
		return world_fail(world,
				  "a reply waits for %" PRIu64 " durable and %" PRIu64
				  " written, where %" PRIu64 " and %" PRIu64 " would do",
				  held->wait.durable_lsn, held->wait.written_lsn, held->strict_lsn,
				  held->standard_lsn);
	return true;
}

static void shown(struct world *world, const struct held *held)
{
	world->totals->acknowledged++;
	if (held->strict_lsn > world->power_floor || held->standard_lsn > world->process_floor)
		world_say(world,
			  "shown: %" PRIu64 " strict, %" PRIu64 " standard, waited for %" PRIu64
			  " durable, %" PRIu64 " written",
			  held->strict_lsn, held->standard_lsn, held->wait.durable_lsn,
			  held->wait.written_lsn);
	raise_floor(&world->full_floor, held->full_lsn);
	raise_floor(&world->power_floor, held->strict_lsn);
	raise_floor(&world->process_floor, held->strict_lsn);
	raise_floor(&world->process_floor, held->standard_lsn);
	if (held->lsn > 0 && (world->moment_count < MOMENTS_MAX || chance_one_in(&world->chance, 8)))
		world->moments[world->moment_count < MOMENTS_MAX
				       ? world->moment_count++
				       : chance_below(&world->chance, MOMENTS_MAX)] = (struct moment){
			held->epoch, held->lsn
		};
}

/* Show what may be shown: each client gets its replies in order. */
static void show(struct world *world)
{
	bool blocked[WORLD_SESSIONS] = { false };
	size_t kept = 0;

	for (size_t i = 0; i < world->held_count; i++) {
		struct held *held = &world->held[i];
		int settled = world->lies.early_reply ? 1 : pd_engine_settled(world->engine, &held->wait);

		if (!blocked[held->client] && settled == 1) {
			shown(world, held);
		} else if (!blocked[held->client] && settled == PD_FENCED) {
			world->totals->unknown++;
		} else {
			blocked[held->client] = true;
			world->held[kept++] = *held;
		}
	}
	world->held_count = kept;
}

/* ---- steps ---- */

/* What the log says is written or durable must be that, and weak writes do not wait for ever. */
static bool note_marks(struct world *world, bool was_due)
{
	uint64_t interval_us = (uint64_t)world->options.sync_interval_ms * 1000;
	struct pd_engine_stats stats;
	bool trimmed;

	pd_engine_stats(world->engine, &stats);
	raise_floor(&world->power_floor, stats.marks.durable_lsn);
	raise_floor(&world->process_floor, stats.marks.written_lsn);
	world->totals->flushes += stats.store.flushes - world->flushes_seen;
	world->totals->checkpoints += stats.checkpoints - world->checkpoints_seen;
	trimmed = stats.log_first_lsn > world->log_first_lsn && world->log_first_lsn > 0;
	world->totals->trims += trimmed;
	world->log_first_lsn = stats.log_first_lsn;
	if (!shelf_check_window(world, &stats, trimmed))
		return false;
	world->flushes_seen = stats.store.flushes;
	world->checkpoints_seen = stats.checkpoints;
	while (world->weak_first < world->weak_count &&
	       world->weak[world->weak_first].lsn <= stats.marks.durable_lsn)
		world->weak_first++;
	if (!was_due || world->weak_first == world->weak_count ||
	    world->weak[world->weak_first].us + interval_us > monotonic_us(world))
		return true;
	if (world->weak[world->weak_first].late_steps++ < LATE_STEPS_MAX)
		return true;
	return world_fail(world, "LSN %" PRIu64 " should have been synced in the background long ago",
			  world->weak[world->weak_first].lsn);
}

/* Of a drive that loses writes: did this step's groups all land? Each of them says what was durable before. (What lands elsewhere
 * may land on them.) */
static void note_drive(struct world *world, const struct pd_engine_stats *before, uint64_t astray)
{
	struct pd_engine_stats after;

	pd_engine_stats(world->engine, &after);
	if (after.log.groups > before->log.groups && after.marks.durable_lsn == after.marks.tail_lsn &&
	    pd_sim_writes_astray(world->os) == astray && world->machine.misdirected_write_ppm == 0)
		raise_floor(&world->drive_floor, before->marks.durable_lsn);
}

bool work_step(struct world *world)
{
	bool was_due = monotonic_us(world) >= pd_engine_deadline_us(world->engine);
	uint64_t epoch, astray = pd_sim_writes_astray(world->os);
	struct pd_engine_stats before = { 0 };
	int result;

	if (world->plague == PLAGUE_DRIVE)
		pd_engine_stats(world->engine, &before);
	result = pd_engine_step(world->engine);
	if (world->plague == PLAGUE_DRIVE && result == 0 && !world_dead(world))
		note_drive(world, &before, astray);

	world_say(world, "step: %d", result);
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	if (world_dead(world))
		return true;
	if (result == 0) {
		if (!note_marks(world, was_due))
			return false;
	} else if (!world->fenced) {
		world->totals->fences++;
		world->fenced = true;
		if (!world->sick || world->plague != PLAGUE_ERRORS)
			return world_fail(world, "fenced for no reason: %s",
					  pd_engine_fence_text(world->engine));
	}
	show(world);
	return true;
}

bool work_rest(struct world *world)
{
	for (unsigned i = 0; i <= 2 * LATE_STEPS_MAX && world->weak_first < world->weak_count; i++) {
		if (world_dead(world) || world->fenced || world->sick)
			return true;
		if (monotonic_us(world) < pd_engine_deadline_us(world->engine))
			pd_sim_advance_us(world->os, (uint64_t)world->options.sync_interval_ms * 500 + 1);
		if (!work_step(world))
			return false;
	}
	return true;
}

bool work_settle(struct world *world)
{
	for (unsigned i = 0; i < 300 && world->held_count > 0; i++) {
		if (!work_step(world) || world_dead(world))
			return !world->failed;
		pd_sim_advance_us(world->os, 1000);
	}
	if (world->held_count > 0)
		return world_fail(
			world, "a reply (waiting for %" PRIu64 " durable, %" PRIu64 " written) never settles",
			world->held[0].wait.durable_lsn, world->held[0].wait.written_lsn);
	return true;
}

/* ---- requests ---- */

static bool check_reply(struct world *world, const struct request *request)
{
	const struct pd_buffer *expected = &world->expected.bytes[request->resp3];

	world_trace(world, pd_hash64(pd_buffer_slice(&world->actual), 0));
	if (pd_slice_equal(pd_buffer_slice(expected), pd_buffer_slice(&world->actual)))
		return true;
	if (world->verbose)
		request_print(request);
	return world_fail(
		world, "the reply to %s is '%.*s', expected '%.*s'", request->commands[0].command->name,
		world->actual.size < 200 ? (int)world->actual.size : 200, (const char *)world->actual.data,
		expected->size < 200 ? (int)expected->size : 200, (const char *)expected->data);
}

/* What a transaction got must fit what it did. */
static bool check_receipt(struct world *world, const struct client *client, const struct request *request,
			  const struct pd_receipt *receipt, const struct outcome *outcome,
			  uint64_t before_lsn)
{
	enum pd_level asked = request->level != PD_LEVEL_UNSET ? request->level : client->level;

	if (receipt->duplicate != outcome->duplicate)
		return world_fail(world, "a request under an idempotency key %s",
				  receipt->duplicate ? "was taken for a repetition" : "ran once more");
	if (receipt->duplicate)
		return receipt->lsn == outcome->duplicate_lsn ||
		       world_fail(world, "a repetition names LSN %" PRIu64 " instead of %" PRIu64,
				  receipt->lsn, outcome->duplicate_lsn);
	if (receipt->epoch != world->epoch)
		return world_fail(world, "epoch %" PRIu64 " in epoch %" PRIu64, receipt->epoch, world->epoch);
	if (receipt->lsn != before_lsn + 1 && (outcome->changed || receipt->lsn != 0))
		return world_fail(world, "LSN %" PRIu64 " after LSN %" PRIu64, receipt->lsn, before_lsn);
	if (receipt->lsn == 0)
		return true;
	if (asked != PD_LEVEL_UNSET ? receipt->level != asked : receipt->level < outcome->level)
		return world_fail(world, "level %s instead of %s", pd_level_name(receipt->level),
				  pd_level_name(asked != PD_LEVEL_UNSET ? asked : outcome->level));
	return true;
}

void work_note_write(struct world *world, const struct pd_receipt *receipt)
{
	if (receipt->level >= PD_LEVEL_STRICT)
		world->strict_lsn = receipt->lsn;
	if (receipt->level == PD_LEVEL_FULL)
		world->full_lsn = receipt->lsn;
	if (receipt->level == PD_LEVEL_STANDARD)
		world->standard_lsn = receipt->lsn;
	if (receipt->level != PD_LEVEL_STANDARD && receipt->level != PD_LEVEL_PERFORMANCE)
		return;
	world->weak = grow(world->weak, world->weak_count, &world->weak_capacity, sizeof *world->weak);
	world->weak[world->weak_count++] = (struct weak){ .lsn = receipt->lsn, .us = monotonic_us(world) };
}

/* May the request be refused like this? */
bool work_check_refusal(struct world *world, const struct outcome *outcome, int result,
			const struct pd_error *err)
{
	bool right = false;

	switch (result) {
	case PD_CONFLICT:
		world->totals->conflicts++;
		right = outcome->code == PD_CONFLICT ||
			(outcome->code != PD_EXISTS && outcome->maybe_conflict);
		break;
	case PD_STALE_EPOCH:
		world->totals->stale++;
		right = outcome->code == PD_STALE_EPOCH;
		break;
	case PD_EXISTS:
		right = outcome->code == PD_EXISTS;
		break;
	case PD_NOT_FOUND:
		right = world_dead(world) || outcome->code == PD_NOT_FOUND;
		break;
	case PD_NOT_THEN:
		right = world_dead(world) || outcome->code == PD_NOT_THEN;
		break;
	case PD_QUOTA:
		world->totals->quota_refusals++;
		right = outcome->maybe_quota;
		break;
	case PD_NO_SPACE: /* is tried again now and then */
		world->totals->disk_full++;
		right = world_dead(world) || world->machine.disk_bytes > 0 ||
			(world->sick && world->plague == PLAGUE_ERRORS) ||
			(world->healed_us > 0 && monotonic_us(world) < world->healed_us + ROOM_NOTICED_US) ||
			monotonic_us(world) < world->room_us + ROOM_NOTICED_US;
		break;
	case PD_FENCED:
		right = world_dead(world) || world->sick;
		break;
	case PD_CORRUPT:
		right = world_dead(world) || world_rotten(world);
		break;
	case PD_IO: /* what has failed is tried again now and then */
		right = world_dead(world) || (world->sick && world->plague == PLAGUE_ERRORS) ||
			(world->healed_us > 0 && monotonic_us(world) < world->healed_us + ROOM_NOTICED_US);
		break;
	case PD_LOST:
		right = world_dead(world) || world->may_be_lost;
		break;
	case PD_AGAIN: /* a fenced log moves no state on, nor does one without memory */
		right = world_dead(world) || world->fenced || world->sick;
		break;
	default:
		/* Making a segment ready may fail without harm. */
		right = world_dead(world) || (world->sick && world->plague == PLAGUE_ERRORS);
	}
	return right || world_fail(world, "refused with %s (%s), expected %s", pd_code_name(result),
				   err->text, pd_code_name(outcome->code));
}

/* Each transaction has a time of its own, later than all before. */
static bool check_time(struct world *world, const struct pd_receipt *receipt)
{
	if (receipt->time_us <= world->last_us)
		return world_fail(world, "the time is %" PRIu64 " after it was %" PRIu64, receipt->time_us,
				  world->last_us);
	world->last_us = receipt->time_us;
	if (receipt->lsn != 0 && !receipt->duplicate)
		world->last_write_us = receipt->time_us;
	return true;
}

/* Hand the request to the engine and its outcome to the model. */
static bool judge(struct world *world, unsigned number, const struct request *request, int result,
		  const struct pd_receipt *receipt, const struct pd_error *err, uint64_t before_lsn,
		  const struct pd_resp_writer *writer)
{
	struct client *client = &world->clients[number];
	struct key_counts before = { 0 }, after = { 0 };
	struct outcome outcome;
	uint64_t epoch;

	reply_clear(&world->expected);
	life_spare(world);
	if (world->quotas)
		quota_count(world, request->tenant, receipt->time_us, &before);
	oracle_evaluate(&world->oracle, request, receipt->time_us, before_lsn + 1, &world->expected,
			&outcome);
	if (world->quotas)
		quota_count(world, request->tenant, receipt->time_us, &after);
	life_starve(world, world->starving_left);
	outcome.maybe_quota = outcome.code == 0 && quota_may_refuse(world, request->tenant, &before, &after);
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	if (!check_time(world, receipt))
		return false;
	world_trace(world, (uint64_t)result ^ receipt->lsn << 8 ^ receipt->time_us);
	if (result != 0) {
		oracle_rewind(&world->oracle, before_lsn);
		if (world->newest_lsn != before_lsn)
			return world_fail(world, "a refused request got an LSN");
		if (world->actual.size != 0)
			return world_fail(world, "a refused request left a reply");
		if (!work_check_refusal(world, &outcome, result, err))
			return false;
	} else {
		if (outcome.code != 0)
			return world_fail(world, "accepted, though it should be %s",
					  pd_code_name(outcome.code));
		if (!check_receipt(world, client, request, receipt, &outcome, before_lsn) ||
		    !quota_check_accepted(world, request->tenant, &before, &after) ||
		    !large_fill(world, writer) || !check_reply(world, request))
			return false;
		world->totals->duplicates += outcome.duplicate;
		world->totals->related += receipt->lsn != 0 && request_relates(request);
		if (receipt->lsn != 0 && !receipt->duplicate)
			work_note_write(world, receipt);
	}
	return work_hold(world, number, receipt);
}

bool work_request(struct world *world, unsigned number, const struct request *request)
{
	return work_execute(world, number, request, NULL, 0, pd_slice(NULL, 0));
}

bool work_execute(struct world *world, unsigned number, const struct request *request, struct pd_stage *stage,
		  size_t word, struct pd_slice tail)
{
	struct pd_request_command commands[REQUEST_OPERATIONS_MAX];
	struct pd_slice words[REQUEST_WORDS_MAX];
	struct pd_resp_hole holes[2];
	struct pd_precondition preconditions[REQUEST_PRECONDITIONS_MAX];
	struct pd_resp_writer writer = { .buffer = &world->actual, .protocol = request->resp3 ? 3 : 2 };
	struct pd_request asked = { .session = world->clients[number].session,
				    .commands = request->commands,
				    .count = request->count,
				    .as_array = request->as_array,
				    .preconditions = preconditions,
				    .precondition_count = request->precondition_count,
				    .level = request->level,
				    .stage = stage };
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	uint64_t epoch, before_lsn;
	int result;

	for (size_t i = 0; i < request->precondition_count; i++) {
		const struct precondition *from = &request->preconditions[i];

		preconditions[i] = (struct pd_precondition){ .kind = from->kind,
							     .key = pd_slice_string(
								     key_name(from->place.key)),
							     .version = from->version,
							     .value = from->value };
		if (from->place.actor != request->actor)
			preconditions[i].actor = pd_slice_string(actor_name(from->place.actor));
	}
	if (request->idempotency >= 0)
		asked.idempotency_key = pd_slice_string(idempotency_name((unsigned)request->idempotency));
	if (stage != NULL) {
		memcpy(words, request->words, sizeof words);
		words[word] = tail;
		commands[0] = request->commands[0];
		commands[0].words = words;
		asked.commands = commands;
	}
	if (chance_one_in(&world->chance, 3)) {
		writer.holes = holes;
		writer.hole_max = 2;
	}
	world->totals->operations += request->count;
	for (unsigned attempt = 0;; attempt++) {
		pd_engine_now(world->engine, &epoch, &before_lsn);
		pd_buffer_clear(&world->actual);
		writer.hole_count = 0;
		result = pd_engine_execute(world->engine, &asked, &writer, &receipt, &err);
		if (result != PD_AGAIN || world_dead(world) || attempt == AGAIN_MAX)
			break;
		world->totals->braked++;
		pd_sim_advance_us(world->os, receipt.retry_us);
		if (!work_step(world))
			return false;
	}
	if (world->verbose) {
		request_print(request);
		(void)printf(" -> %s, LSN %" PRIu64 ", time %" PRIu64 "%s\n", pd_code_name(result),
			     receipt.lsn, receipt.time_us, world_dead(world) ? ", dead" : "");
	}
	return judge(world, number, request, result, &receipt, &err, before_lsn, &writer);
}

static void add_preconditions(struct world *world, struct request *request)
{
	struct chance *chance = &world->chance;
	unsigned count = 1 + (unsigned)chance_below(chance, REQUEST_PRECONDITIONS_MAX);

	for (unsigned i = 0; i < count; i++) {
		struct precondition *precondition = &request->preconditions[request->precondition_count++];
		const struct oracle_item *item;

		precondition->kind = (enum pd_precondition_kind)chance_below(chance, 4);
		precondition->place = request->operations[0].place_count > 0
					      ? request->operations[0].places[0]
					      : (struct place){ request->actor, 0 };
		item = world->oracle.cells[cell_item(request->tenant, precondition->place)];
		if (precondition->kind == PD_IF_VALUE && item != NULL && !item->is_hash)
			precondition->value = item->string;
		if (precondition->kind != PD_IF_VERSION)
			continue;
		precondition->kind = PD_IF_ABSENT;
		for (size_t w = 0; w < world->watch_count; w++) {
			if (world->watches[w].tenant != request->tenant)
				continue;
			precondition->kind = PD_IF_VERSION;
			precondition->place = world->watches[w].place;
			precondition->version = world->watches[w].version;
			break;
		}
	}
}

static bool new_request(struct world *world)
{
	unsigned number = (unsigned)chance_below(&world->chance, WORLD_SESSIONS);
	const struct client *client = &world->clients[number];
	struct request *request = arena_take(&world->arena, sizeof *request);

	/* One thing after another. */
	if (client->upload.stage != NULL)
		return large_go_on(world, number);
	*request = (struct request){ .tenant = client->tenant,
				     .actor = client->actor,
				     .one_actor = client->one_actor,
				     .resp3 = client->resp3 };
	memcpy(request->claims, client->claims[client->tenant], sizeof request->claims);
	request_make(request, world->vocabulary, &world->taste, &world->chance, &world->arena);
	if (chance_percent(&world->chance, world->taste.precondition_percent))
		add_preconditions(world, request);
	if (request->idempotency >= 0)
		world->retries[world->retry_count++ % RETRIES_MAX] = request;
	return large_begin(world, number, request) || work_request(world, number, request);
}

/* Send an idempotent request again, perhaps over another connection. */
static bool retry(struct world *world)
{
	size_t count = world->retry_count < RETRIES_MAX ? world->retry_count : RETRIES_MAX;
	const struct request *old;

	if (count == 0)
		return new_request(world);
	old = world->retries[chance_below(&world->chance, count)];
	for (unsigned i = 0; i < WORLD_SESSIONS; i++) {
		const struct client *client = &world->clients[i];
		struct request *request;

		if (world->half_related && request_relates(old))
			break;
		if (client->tenant != old->tenant || client->actor != old->actor ||
		    client->one_actor != old->one_actor || client->upload.stage != NULL)
			continue;
		request = arena_copy(&world->arena, old, sizeof *request);
		/* The commands' words are the old request's, which stays. */
		request->resp3 = client->resp3;
		memcpy(request->claims, client->claims[client->tenant], sizeof request->claims);
		return work_request(world, i, request);
	}
	return new_request(world);
}

/* ---- what else happens ---- */

static bool watch(struct world *world)
{
	unsigned number = (unsigned)chance_below(&world->chance, WORLD_SESSIONS);
	const struct client *client = &world->clients[number];
	struct watch *watch =
		&world->watches[world->watch_count < WATCHES_MAX ? world->watch_count++
								 : chance_below(&world->chance, WATCHES_MAX)];
	struct pd_slice actor, key;
	struct pd_error err;

	*watch = (struct watch){ .tenant = client->tenant,
				 .place = { client->actor,
					    (uint8_t)chance_below(&world->chance, WORLD_KEYS) } };
	if (pd_engine_version(world->engine, client->session, pd_slice_string(key_name(watch->place.key)),
			      &watch->version, &actor, &key, &err) != 0)
		return world_fail(world, "no version: %s", err.text);
	return true;
}

bool work_profile(struct world *world, unsigned number, bool of_tenant, enum pd_level level)
{
	const struct client *client = &world->clients[number];
	unsigned cell = of_tenant ? cell_tenant(client->tenant) : cell_actor(client->tenant, client->actor);
	const struct oracle_name *before = world->oracle.cells[cell];
	bool there = before != NULL;
	struct oracle_name *name = arena_take(&world->arena, sizeof *name);
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	uint64_t epoch;
	int result;

	*name = there ? *before : (struct oracle_name){ 0 };
	name->level = level;
	result = pd_engine_set_profile(world->engine, client->session,
				       of_tenant ? pd_slice(NULL, 0)
						 : pd_slice_string(actor_name(client->actor)),
				       name->level, &receipt, &err);
	pd_engine_now(world->engine, &epoch, &world->newest_lsn);
	world_say(world, "profile of %s/%s: %s -> %s", tenant_name(client->tenant),
		  of_tenant ? "" : actor_name(client->actor), pd_level_name(name->level),
		  pd_code_name(result));
	if (result == PD_AGAIN) /* as a write is told; nobody insists */
		return true;
	if (result == PD_NOT_FOUND)
		return !there || world_fail(world, "no profile: %s", err.text);
	if (result != 0)
		return work_check_refusal(world, &(struct outcome){ 0 }, result, &err);
	if (!there)
		return world_fail(world, "a profile for what does not exist");
	oracle_set(&world->oracle, cell, name, receipt.lsn != 0 ? receipt.lsn : world->newest_lsn);
	if (receipt.lsn != 0)
		work_note_write(world, &receipt);
	return work_hold(world, number, &receipt);
}

static bool set_profile(struct world *world)
{
	static const enum pd_level levels[] = { PD_LEVEL_UNSET, PD_LEVEL_NONE, PD_LEVEL_PERFORMANCE,
						PD_LEVEL_STANDARD, PD_LEVEL_STRICT };
	unsigned number = (unsigned)chance_below(&world->chance, WORLD_SESSIONS);
	bool of_tenant = chance_one_in(&world->chance, 2);

	return work_profile(world, number, of_tenant, levels[chance_below(&world->chance, 5)]);
}

static void pass_time(struct world *world)
{
	struct chance *chance = &world->chance;

	if (chance_one_in(chance, 40))
		pd_sim_jump_real_us(world->os, (int64_t)chance_below(chance, 7200000000) - 3600000000);
	pd_sim_advance_us(world->os, chance_one_in(chance, 20) ? chance_spread(chance, 3600000000)
							       : chance_spread(chance, 200000));
	if (world->plague == PLAGUE_FULL && world->machine.disk_bytes > 0 && chance_one_in(chance, 30)) {
		world->machine.disk_bytes = 0;
		pd_sim_set_options(world->os, &world->machine);
		world->room_us = monotonic_us(world);
	}
}

/* A verification finds nothing but what is there. */
bool work_upkeep(struct world *world, enum pd_upkeep_kind kind)
{
	struct pd_upkeep_status status;
	struct pd_error err;
	int result = pd_engine_upkeep_start(world->engine, kind, &err);

	pd_engine_upkeep_status(world->engine, &status);
	world_say(world, "upkeep %d: %s (%s)", (int)kind, pd_code_name(result), status.text);
	if (status.damage_count > 0 && !world->plagued && !world_dead(world))
		return world_fail(world, "a verification found damage: %s",
				  pd_engine_upkeep_damage(world->engine, 0));
	if (result == 0 || result == PD_BUSY || (result == PD_CORRUPT && world_rotten(world)) ||
	    (result == PD_NOT_SUPPORTED && world->options.levels == PD_LEVELS_NONE) || world->sick)
		return true;
	return world_fail(world, "upkeep refused: %s", err.text);
}

/* Checkpoints, compactions and verifications that somebody asks for. */
static bool keep_up(struct world *world)
{
	static const enum pd_upkeep_kind kinds[] = { PD_UPKEEP_CHECKPOINT, PD_UPKEEP_COMPACT_LOG,
						     PD_UPKEEP_COMPACT_STORE, PD_UPKEEP_VERIFY_STORE };

	return work_upkeep(world, kinds[chance_below(&world->chance, 4)]);
}

static bool happen(struct world *world)
{
	unsigned pick;

	if (world->quotas && chance_one_in(&world->side_chance, 40))
		return quota_set(world);
	pick = (unsigned)chance_below(&world->chance, 100);

	if (chance_one_in(&world->chance, 20))
		return large_read(world);
	if (pick < 2)
		return keep_up(world);
	if (pick < 4)
		return actor_lease(world);
	if (pick < 66)
		return new_request(world);
	if (pick < 72)
		return world->taste.idempotent_percent > 0 ? retry(world) : new_request(world);
	if (pick < 86)
		return work_step(world);
	if (pick < 95) {
		pass_time(world);
		return true;
	}
	if (pick < 97)
		return watch(world);
	if (pick < 98)
		return chance_one_in(&world->chance, 2) ? set_profile(world) : actor_drop(world);
	if (pick < 99) {
		struct client *client = &world->clients[chance_below(&world->chance, WORLD_SESSIONS)];

		return place_client(world, client) && set_level(world, client);
	}
	return world->plague == PLAGUE_NONE ? verify_counts(world) : verify_state(world);
}

bool work(struct world *world, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!happen(world))
			return false;
		if (!world_dead(world) && chance_one_in(&world->view_chance, 12) && !views_happen(world))
			return false;
		if (world_dead(world))
			return true;
		/* A host steps when it should, mostly. */
		if (monotonic_us(world) >= pd_engine_deadline_us(world->engine) &&
		    !chance_one_in(&world->chance, 4) && !work_step(world))
			return false;
		if (world_dead(world))
			return true;
		show(world);
	}
	return true;
}
