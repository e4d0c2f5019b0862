#include "ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int ask_start(struct world *world, struct pd_restore_jobs *jobs, const char *text,
	      struct pd_restore_job **ret_job)
{
	struct pd_slice words[12];
	size_t count = 0;

	for (const char *at = text; *at != '\0';) {
		size_t size = strcspn(at, " ");

		words[count++] = pd_slice(at, size);
		at += size + (at[size] == ' ');
	}
	return pd_restore_job_start(jobs, world->host.session, words, count, 2, ret_job, &world->host.err);
}

int ask_end(struct world *world, struct pd_restore_job *job, void (*meanwhile)(struct world *world))
{
	const struct pd_receipt *receipt;
	struct pd_slice reply;

	for (unsigned i = 0; i < 20000; i++) {
		int result = pd_restore_job_work(job, &reply, &receipt, &world->host.err);

		if (result == 0)
			world->host.receipt = *receipt;
		if (result != 1)
			return result;
		if (meanwhile != NULL)
			meanwhile(world);
		assert_int_equal(pd_engine_step(world->host.engine), 0);
		host_advance_ms(&world->host, 1);
	}
	fail_msg("it does not end");
	return 1;
}

static int carry_out(struct world *world, const char *text)
{
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	int result;

	assert_non_null(jobs);
	result = ask_start(world, jobs, text, &job);
	if (result == 0)
		result = ask_end(world, job, NULL);
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	return result;
}

void ask(struct world *world, const char *text)
{
	if (carry_out(world, text) != 0)
		fail_msg("%s: %s", text, world->host.err.text);
}

void ask_fails(struct world *world, const char *text, int code, const char *words)
{
	int result = carry_out(world, text);

	if (result != code || strstr(world->host.err.text, words) == NULL)
		fail_msg("%s: %d, %s", text, result, world->host.err.text);
}
