#include "transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/actor.h"
#include "engine/draft.h"
#include "wire/resp.h"

void transfer_check(struct world *world)
{
	if (pd_engine_check_large(world->host.engine, &world->host.err) != 0 ||
	    pd_engine_check_counts(world->host.engine, &world->host.err) != 0)
		fail_msg("%s", world->host.err.text);
}

uint64_t transfer_keys(struct world *world)
{
	struct pd_engine_stats stats;

	pd_engine_stats(world->host.engine, &stats);
	return stats.keys;
}

bool transfer_is_there(struct world *world, const char *name)
{
	struct pd_actor_info known;

	return pd_engine_actor_info(world->host.engine, world->host.session, pd_slice_string(name), &known,
				    NULL) == 0;
}

struct pd_slice transfer_piece(struct world *world, struct pd_restore_job *job)
{
	const struct pd_receipt *receipt;
	struct pd_slice reply;
	size_t digits = 0;

	assert_int_equal(pd_restore_job_work(job, &reply, &receipt, &world->host.err), 0);
	assert_int_equal(pd_resp_reply_size(reply.data, reply.size), reply.size);
	assert_int_equal(reply.data[0], '$');
	while (reply.data[digits] != '\n')
		digits++;
	return pd_slice(reply.data + digits + 1, reply.size - digits - 3);
}

int transfer_try_export(struct world *world, const char *order, struct pd_buffer *into,
			void (*meanwhile)(struct world *world))
{
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	struct pd_slice piece;
	int result = ask_start(world, jobs, order, &job);

	pd_buffer_clear(into);
	while (result == 0) {
		result = ask_end(world, job, meanwhile);
		if (result != 0)
			break;
		piece = transfer_piece(world, job);
		if (piece.size == 0)
			break;
		assert_int_equal(pd_buffer_append_slice(into, piece), 0);
		pd_restore_job_next(job);
	}
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	return result;
}

void transfer_export(struct world *world, const char *order, struct pd_buffer *into)
{
	if (transfer_try_export(world, order, into, NULL) != 0)
		fail_msg("%s: %s", order, world->host.err.text);
}

unsigned transfer_turns;

int transfer_put(struct world *world, struct pd_restore_job *job, struct pd_slice piece)
{
	const struct pd_receipt *receipt;

	for (unsigned i = 0; i < 20000; i++) {
		int result = pd_restore_job_put(job, piece, &receipt, &world->host.err);

		if (result != PD_AGAIN)
			return result;
		assert_true(receipt->retry_us > 0);
		transfer_turns++;
		assert_int_equal(pd_engine_step(world->host.engine), 0);
		host_advance_ms(&world->host, 1);
	}
	fail_msg("it does not end");
	return 1;
}

int transfer_put_all(struct world *world, struct pd_restore_job *job, struct pd_slice lines, size_t piece)
{
	int result = 0;

	for (size_t at = 0; result == 0 && at < lines.size; at += piece) {
		size_t left = lines.size - at;

		result = transfer_put(world, job, pd_slice(lines.data + at, left < piece ? left : piece));
	}
	return result;
}

int transfer_try_import(struct world *world, const char *order, struct pd_slice lines, size_t piece)
{
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	int result = ask_start(world, jobs, order, &job);

	if (result == 0)
		result = transfer_put_all(world, job, lines, piece);
	if (result == 0)
		result = pd_restore_job_end(job, &world->host.err);
	if (result == 0)
		result = ask_end(world, job, NULL);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	return result;
}

void transfer_import(struct world *world, const char *order, const struct pd_buffer *lines, size_t piece)
{
	if (transfer_try_import(world, order, pd_buffer_slice(lines), piece) != 0)
		fail_msg("%s: %s", order, world->host.err.text);
}

void transfer_import_fails(struct world *world, const char *order, struct pd_slice lines, int code,
			   const char *words)
{
	uint64_t before = transfer_keys(world);
	int result = transfer_try_import(world, order, lines, 700);

	if (result != code || strstr(world->host.err.text, words) == NULL)
		fail_msg("%s: %d, %s", order, result, world->host.err.text);
	world_idle(world, 20);
	assert_int_equal(pd_drafts_count(world->host.engine), 0);
	assert_int_equal(transfer_keys(world), before);
	transfer_check(world);
}

void transfer_run(struct world *world, const char *command)
{
	int result;

	while ((result = host_run(&world->host, command)) == PD_AGAIN)
		world_idle(world, 1);
	if (result != 0)
		fail_msg("%.60s: %s", command, world->host.err.text);
}

void transfer_run_long(struct world *world, const char *before, size_t size, char byte)
{
	size_t used = strlen(before);
	char *text = malloc(used + size + 1);

	memcpy(text, before, used);
	memset(text + used, byte, size);
	text[used + size] = '\0';
	transfer_run(world, text);
	free(text);
}
