/* Relations in exports and imports: they go along, and what they lead to may not be there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/actor.h"
#include "transfer.h"
#include "wire/resp.h"

static const char *said; /* by the server of the last import */

static int import_and_listen(struct world *world, const char *order, const struct pd_buffer *lines)
{
	static char text[4000];
	struct pd_restore_jobs *jobs = pd_restore_jobs_new(world->host.engine);
	struct pd_restore_job *job = NULL;
	const struct pd_receipt *receipt;
	struct pd_slice reply;
	int result = ask_start(world, jobs, order, &job);

	if (result == 0)
		result = transfer_put_all(world, job, pd_buffer_slice(lines), 700);
	if (result == 0)
		result = pd_restore_job_end(job, &world->host.err);
	if (result == 0)
		result = ask_end(world, job, NULL);
	if (result == 0)
		result = pd_restore_job_work(job, &reply, &receipt, &world->host.err);
	if (result == 0) {
		assert_int_equal(pd_resp_reply_size(reply.data, reply.size), reply.size);
		assert_true(reply.size < sizeof text);
		memcpy(text, reply.data, reply.size);
		text[reply.size] = '\0';
		said = text;
	}
	pd_restore_job_free(job);
	pd_restore_jobs_free(jobs);
	return result;
}

static void says(const char *words)
{
	if (strstr(said, words) == NULL)
		fail_msg("'%s' is not in '%s'", words, said);
}

static void relations_are(struct world *world, const char *actor, const char *expected)
{
	char command[100];

	(void)snprintf(command, sizeof command, "pd.actor relations %s", actor);
	transfer_run(world, command);
	if (strcmp(host_reply(&world->host), expected) != 0)
		fail_msg("%s: '%s', expected '%s'", command, host_reply(&world->host), expected);
}

#define ONE(side, kind, actor, data) \
	"*8\r\n$9\r\ndirection\r\n" side "$4\r\nkind\r\n" kind "$5\r\nactor\r\n" actor "$4\r\ndata\r\n" data
#define LIST(count, items) "*2\r\n$1\r\n0\r\n*" count "\r\n" items
#define OUT                "$3\r\nout\r\n"
#define IN                 "$2\r\nin\r\n"
#define RELATED            "$7\r\nrelated\r\n"
#define NO_DATA            "$0\r\n\r\n"
#define A                  "$1\r\na\r\n"
#define B                  "$1\r\nb\r\n"
#define C                  "$1\r\nc\r\n"

static bool has(const struct pd_buffer *lines, const char *text)
{
	return memmem(lines->data, lines->size, text, strlen(text)) != NULL;
}

static void drop(struct world *world, const char *actor)
{
	struct pd_receipt receipt;

	assert_int_equal(pd_engine_drop_actor(world->host.engine, world->host.session, pd_slice_string(actor),
					      &receipt, &world->host.err),
			 0);
}

static void set_up_related(struct world *world)
{
	world_init(world, 91);
	world_open(world);
	transfer_run(world, "set {a}k 1");
	transfer_run(world, "set {b}k 2");
	transfer_run(world, "set {c}k 3");
	transfer_run(world, "pd.actor relate a b");
	transfer_run(world, "pd.actor relate c a data why");
	transfer_run(world, "pd.actor relate a a");
}

/* They go along, on both sides and in the record that gives the actor its name; what is not there is told. */
static void test_related(void **state)
{
	static struct world world;
	struct pd_buffer lines, bare, again;
	struct pd_hash128 hash;

	(void)state;
	pd_buffer_init(&lines, 1 << 20);
	pd_buffer_init(&bare, 1 << 20);
	pd_buffer_init(&again, 1 << 20);
	set_up_related(&world);
	transfer_export(&world, "EXPORT a", &lines);
	transfer_export(&world, "EXPORT a NORELATIONS", &bare);
	assert_true(has(&lines, "{\"perdure_actor\":2,"));
	assert_true(
		has(&lines, "{\"relation\":\"in\",\"kind\":\"related\",\"actor\":\"c\",\"data\":\"why\"}\n"));
	assert_true(has(&bare, "{\"perdure_actor\":1,"));
	assert_false(has(&bare, "relation"));

	/* Another, beside the first: what was related to itself is so again, and none of it goes to the first. */
	assert_int_equal(import_and_listen(&world, "IMPORT AS d", &lines), 0);
	says("related\r\n:4\r\n");
	says("missing\r\n*0\r\n");
	relations_are(&world, "d",
		      LIST("4",
			   ONE(IN, RELATED, C, "$3\r\nwhy\r\n") ONE(IN, RELATED, "$1\r\nd\r\n", NO_DATA)
				   ONE(OUT, RELATED, B, NO_DATA) ONE(OUT, RELATED, "$1\r\nd\r\n", NO_DATA)));
	relations_are(&world, "b",
		      LIST("2", ONE(IN, RELATED, A, NO_DATA) ONE(IN, RELATED, "$1\r\nd\r\n", NO_DATA)));
	transfer_check(&world);

	/* Without. */
	assert_int_equal(import_and_listen(&world, "IMPORT AS e NORELATIONS", &lines), 0);
	says("related\r\n:0\r\n");
	relations_are(&world, "e", LIST("0", ""));
	hash = host_hash(&world.host, "e");
	assert_int_equal(import_and_listen(&world, "IMPORT AS f", &bare), 0);
	assert_same_hash(host_hash(&world.host, "f"), hash);

	/* Of one that is not there it is said; the others are taken up. */
	drop(&world, "c");
	drop(&world, "a");
	assert_int_equal(import_and_listen(&world, "IMPORT", &lines), 0);
	says("related\r\n:3\r\n");
	says("missing\r\n*1\r\n*6\r\n$9\r\ndirection\r\n$2\r\nin\r\n$4\r\nkind\r\n" RELATED
	     "$5\r\nactor\r\n" C);
	relations_are(&world, "a",
		      LIST("3", ONE(IN, RELATED, A, NO_DATA) ONE(OUT, RELATED, A, NO_DATA)
					ONE(OUT, RELATED, B, NO_DATA)));
	transfer_check(&world);

	/* In another's place: it has what that one had, and what it brings. */
	transfer_run(&world, "set {c}k 4");
	transfer_run(&world, "pd.actor unrelate a b");
	transfer_run(&world, "pd.actor relate b a");
	assert_int_equal(import_and_listen(&world, "IMPORT REPLACE", &lines), 0);
	says("missing\r\n*0\r\n");
	relations_are(&world, "a",
		      LIST("5", ONE(IN, RELATED, A, NO_DATA) ONE(IN, RELATED, B, NO_DATA)
					ONE(IN, RELATED, C, "$3\r\nwhy\r\n") ONE(OUT, RELATED, A, NO_DATA)
						ONE(OUT, RELATED, B, NO_DATA)));
	transfer_check(&world);

	/* And so it is after a crash. */
	world_settle(&world);
	host_power_cycle(&world.host);
	transfer_check(&world);
	transfer_export(&world, "EXPORT a", &again);
	assert_true(
		has(&again, "{\"relation\":\"in\",\"kind\":\"related\",\"actor\":\"b\",\"data\":\"\"}\n"));
	world_done(&world);
	pd_buffer_done(&lines);
	pd_buffer_done(&bare);
	pd_buffer_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_related),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
