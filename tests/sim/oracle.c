/* The state and its journal, and requests as a whole: idempotency, preconditions, levels. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle_evaluate.h"

#define REPLY_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* ---- state ---- */

void oracle_init(struct oracle *oracle, struct arena *arena)
{
	struct oracle_change *journal = oracle->journal;
	size_t capacity = oracle->journal_capacity;

	*oracle = (struct oracle){ .arena = arena, .journal = journal, .journal_capacity = capacity };
}

void oracle_done(struct oracle *oracle)
{
	free(oracle->journal);
	oracle->journal = NULL;
}

void oracle_set(struct oracle *oracle, unsigned cell, const void *value, uint64_t lsn)
{
	if (oracle->journal_count == oracle->journal_capacity) {
		oracle->journal_capacity = oracle->journal_capacity > 0 ? 2 * oracle->journal_capacity : 1024;
		oracle->journal = realloc(oracle->journal,
					  oracle->journal_capacity * sizeof *oracle->journal);
		if (oracle->journal == NULL) {
			(void)fprintf(stderr, "sim: out of memory\n");
			exit(2);
		}
	}
	oracle->journal[oracle->journal_count++] = (struct oracle_change){ .lsn = lsn,
									   .cell = cell,
									   .before = oracle->cells[cell] };
	oracle->cells[cell] = value;
}

void oracle_bear(struct oracle *oracle, unsigned tenant, unsigned actor, uint64_t lsn)
{
	struct request request = { .tenant = (uint8_t)tenant };
	struct evaluation e = { .oracle = oracle, .request = &request, .lsn = lsn };

	evaluation_bear(&e, actor);
}

void oracle_clear(struct oracle *oracle, unsigned tenant, unsigned actor, uint64_t lsn)
{
	for (uint8_t key = 0; key < WORLD_KEYS; key++) {
		unsigned cell = cell_item(tenant, (struct place){ .actor = (uint8_t)actor, .key = key });

		if (oracle->cells[cell] != NULL)
			oracle_set(oracle, cell, NULL, lsn);
	}
}

unsigned oracle_relation_of(unsigned tenant, unsigned actor, unsigned nth, unsigned *ret_other)
{
	unsigned kind = nth % WORLD_KINDS, other = nth / WORLD_KINDS % WORLD_ACTORS;

	*ret_other = other;
	return nth < WORLD_ACTORS * WORLD_KINDS ? cell_relation(tenant, actor, other, kind)
						: cell_relation(tenant, other, actor, kind);
}

bool oracle_is_related(const struct oracle *oracle, unsigned tenant, unsigned actor)
{
	unsigned other;

	for (unsigned i = 0; i < ORACLE_RELATIONS_OF_ONE; i++)
		if (oracle->cells[oracle_relation_of(tenant, actor, i, &other)] != NULL)
			return true;
	return false;
}

void oracle_drop(struct oracle *oracle, unsigned tenant, unsigned actor, uint64_t lsn)
{
	oracle_clear(oracle, tenant, actor, lsn);
	for (unsigned i = 0; i < ORACLE_RELATIONS_OF_ONE; i++) {
		unsigned other, cell = oracle_relation_of(tenant, actor, i, &other);

		if (oracle->cells[cell] != NULL)
			oracle_set(oracle, cell, NULL, lsn);
	}
	oracle_set(oracle, cell_actor(tenant, actor), NULL, lsn);
}

static void take_back_to(struct oracle *oracle, size_t count)
{
	while (oracle->journal_count > count) {
		const struct oracle_change *change = &oracle->journal[--oracle->journal_count];

		oracle->cells[change->cell] = change->before;
	}
}

void oracle_rewind(struct oracle *oracle, uint64_t lsn)
{
	size_t count = oracle->journal_count;

	while (count > 0 && oracle->journal[count - 1].lsn > lsn)
		count--;
	take_back_to(oracle, count);
}

bool oracle_touched(const struct oracle *oracle, unsigned cell, uint64_t since_lsn)
{
	for (size_t i = oracle->journal_count; i > 0 && oracle->journal[i - 1].lsn > since_lsn; i--)
		if (oracle->journal[i - 1].cell == cell)
			return true;
	return false;
}

const struct oracle_item *oracle_see(const struct oracle *oracle, unsigned tenant, struct place place,
				     uint64_t now_us)
{
	const struct oracle_item *item = oracle->cells[cell_item(tenant, place)];

	return item != NULL && item->expires_us != 0 && item->expires_us <= now_us ? NULL : item;
}

/* ---- replies ---- */

void reply_init(struct reply *reply)
{
	for (unsigned i = 0; i < 2; i++)
		pd_buffer_init(&reply->bytes[i], REPLY_BYTES_MAX);
}

void reply_done(struct reply *reply)
{
	for (unsigned i = 0; i < 2; i++)
		pd_buffer_done(&reply->bytes[i]);
}

void reply_clear(struct reply *reply)
{
	for (unsigned i = 0; i < 2; i++)
		pd_buffer_clear(&reply->bytes[i]);
}

/* ---- preconditions ---- */

/* Does it hold? A version of something that was not there may be refused though it still is not. */
static bool holds(const struct evaluation *e, const struct precondition *precondition, bool *maybe_conflict)
{
	const struct oracle_item *item = evaluation_see(e, precondition->place);
	unsigned cell = cell_item(e->request->tenant, precondition->place);

	switch (precondition->kind) {
	case PD_IF_EXISTS:
		return item != NULL;
	case PD_IF_ABSENT:
		return item == NULL;
	case PD_IF_VALUE:
		return item != NULL && !item->is_hash && pd_slice_equal(item->string, precondition->value);
	case PD_IF_VERSION:
		if (precondition->version.exists)
			return item != NULL && item->lsn == precondition->version.lsn;
		*maybe_conflict = true;
		return item == NULL && !oracle_touched(e->oracle, cell, precondition->version.lsn);
	}
	return false;
}

static int check_preconditions(const struct evaluation *e, bool *maybe_conflict)
{
	for (size_t i = 0; i < e->request->precondition_count; i++)
		if (!holds(e, &e->request->preconditions[i], maybe_conflict))
			return PD_CONFLICT;
	return 0;
}

/* ---- idempotency ---- */

/* PD_END: this key is new. */
static int find_result(const struct evaluation *e, struct outcome *outcome)
{
	unsigned cell = cell_result(e->request->tenant, (unsigned)e->request->idempotency);
	const struct oracle_result *result = e->oracle->cells[cell];

	if (result == NULL || result->expires_us <= e->now_us)
		return PD_END;
	if (!request_same(result->request, e->request))
		return PD_EXISTS;
	outcome->duplicate = true;
	outcome->duplicate_lsn = result->lsn;
	for (unsigned i = 0; i < 2; i++)
		reply_append(e->reply, i, result->replies[i]);
	return 0;
}

static void keep_result(const struct evaluation *e, const size_t starts[2])
{
	struct oracle_result *result = arena_take(e->oracle->arena, sizeof *result);
	unsigned cell = cell_result(e->request->tenant, (unsigned)e->request->idempotency);

	*result = (struct oracle_result){ .request = e->request,
					  .lsn = e->lsn,
					  .expires_us = e->now_us + e->oracle->idempotency_keep_us };
	for (unsigned i = 0; i < 2; i++) {
		struct pd_slice all = pd_buffer_slice(&e->reply->bytes[i]);
		size_t size = all.size - starts[i];

		result->replies[i] = pd_slice(arena_copy(e->oracle->arena, all.data + starts[i], size), size);
	}
	oracle_set(e->oracle, cell, result, e->lsn);
}

/* ---- requests ---- */

void oracle_evaluate(struct oracle *oracle, const struct request *request, uint64_t now_us, uint64_t lsn,
		     struct reply *reply, struct outcome *ret_outcome)
{
	struct evaluation e = {
		.oracle = oracle, .request = request, .now_us = now_us, .lsn = lsn, .reply = reply
	};
	struct outcome outcome = { 0 };
	size_t journal_start = oracle->journal_count;
	size_t starts[2] = { reply->bytes[0].size, reply->bytes[1].size };
	bool idempotent = request->idempotency >= 0;

	if (idempotent && oracle->cells[cell_tenant(request->tenant)] == NULL)
		evaluation_bear(&e, request->actor);
	else if (idempotent)
		outcome.code = find_result(&e, &outcome);
	if (outcome.code == PD_END)
		outcome.code = 0;
	if (outcome.code == 0 && !outcome.duplicate)
		outcome.code = check_preconditions(&e, &outcome.maybe_conflict);
	if (outcome.code == 0 && !outcome.duplicate) {
		if (request->as_array)
			reply_array(reply, request->count);
		for (size_t i = 0; i < request->count; i++)
			evaluation_run(&e, &request->operations[i]);
		if (e.stale)
			outcome.code = PD_STALE_EPOCH;
		else if (idempotent && reply->bytes[0].data[starts[0]] != '-')
			keep_result(&e, starts);
	}
	if (outcome.code != 0)
		take_back_to(oracle, journal_start);
	outcome.changed = oracle->journal_count > journal_start;
	outcome.level = e.level;
	*ret_outcome = outcome;
}

void oracle_read(struct oracle *oracle, const struct request *request, const struct operation *operation,
		 uint64_t now_us, struct reply *reply)
{
	struct evaluation e = { .oracle = oracle, .request = request, .now_us = now_us, .reply = reply };

	evaluation_run(&e, operation);
}
