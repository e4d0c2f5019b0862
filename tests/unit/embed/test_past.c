/* The past of actors through the library: looked at, and made into something. */
#include "host.h"

#include <pthread.h>

static void fork_of(struct host *host, const char *name, const char *moment, struct perdure_remade *made)
{
	*made = (struct perdure_remade)PERDURE_REMADE_INIT;
	assert_ok(host,
		  perdure_actor_fork(host->session, ACTOR, perdure_text(name), moment, made, &host->err));
}

static char *get_of(struct host *host, const char *actor, const char *key)
{
	static char text[64];
	struct perdure_value value;

	text[0] = '\0';
	if (perdure_get(host->session, perdure_text(actor), perdure_text(key), &value, &host->err) == 0) {
		(void)snprintf(text, sizeof text, "%s", (const char *)value.data);
		perdure_free(value.data);
	}
	return text;
}

static struct perdure_reply *ask(struct host *host, size_t count, const char *const *words)
{
	struct perdure_bytes given[16];
	struct perdure_reply *reply = NULL;

	for (size_t i = 0; i < count; i++)
		given[i] = perdure_text(words[i]);
	assert_ok(host, perdure_past(host->session, count, given, &reply, &host->err));
	assert_non_null(reply);
	return reply;
}

static const struct perdure_reply *field(const struct perdure_reply *map, const char *name)
{
	assert_int_equal(map->kind, PERDURE_REPLY_MAP);
	for (size_t i = 0; i + 1 < map->count; i += 2)
		if (strcmp(map->items[i].text.data, name) == 0)
			return &map->items[i + 1];
	fail_msg("there is no %s", name);
	return NULL;
}

static void test_questions(void **state)
{
	struct host *host = *state;
	const char *history[] = { "HISTORY", "user:42" }, *get[] = { "GET", "user:42", "a", "AT", NULL };
	struct perdure_receipt receipt;
	struct perdure_reply *reply;

	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	host_put(host, host->session, "a", "2");
	reply = ask(host, 2, history);
	assert_int_equal(field(reply, "entries")->count, 2);
	perdure_reply_free(reply);
	get[4] = receipt.bookmark;
	reply = ask(host, 5, get);
	assert_string_equal(reply->text.data, "1");
	perdure_reply_free(reply);
}

static void test_orders(void **state)
{
	struct host *host = *state;
	struct perdure_remade made = PERDURE_REMADE_INIT, forked;
	struct perdure_receipt receipt;
	char undo[PERDURE_BOOKMARK_SIZE];

	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	host_put(host, host->session, "a", "2");
	fork_of(host, "copy", receipt.bookmark, &forked);
	assert_string_equal(get_of(host, "copy", "a"), "1");
	assert_int_equal(forked.keys, 1);
	assert_string_equal(forked.at, receipt.bookmark);
	assert_int_equal(strlen(forked.hash), 32);
	assert_true(forked.receipt.lsn > receipt.lsn);
	assert_ok(host, perdure_actor_restore(host->session, ACTOR, receipt.bookmark, 1, &made, &host->err));
	assert_int_equal(made.way, PERDURE_REMADE_CHANGES);
	assert_int_equal(made.put, 1);
	assert_int_equal(made.receipt.lsn, 0);
	assert_string_equal(host_get(host, host->session, "a"), "2");
	assert_ok(host, perdure_actor_restore(host->session, ACTOR, receipt.bookmark, 0, &made, &host->err));
	assert_string_equal(host_get(host, host->session, "a"), "1");
	(void)snprintf(undo, sizeof undo, "%s", made.undo);
	assert_ok(host, perdure_actor_restore(host->session, ACTOR, undo, 0, NULL, &host->err));
	assert_string_equal(host_get(host, host->session, "a"), "2");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	assert_ok(host, perdure_actor_revert(host->session, ACTOR, receipt.bookmark, 0, &made, &host->err));
	assert_string_equal(host_get(host, host->session, "a"), "1");
	assert_ok(host, perdure_actor_drop(host->session, perdure_text("copy"), &host->err));
	assert_ok(host, perdure_actor_undrop(host->session, perdure_text("copy"), &made, &host->err));
	assert_string_equal(made.hash, forked.hash);
	assert_string_equal(get_of(host, "copy", "a"), "1");
}

static void test_snapshots(void **state)
{
	struct host *host = *state;
	const char *list[] = { "SNAPSHOTS", "user:42" }, *verify[] = { "VERIFY", "user:42", "s" };
	struct perdure_remade made = PERDURE_REMADE_INIT, forked;
	struct perdure_reply *reply;

	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_actor_snapshot(host->session, ACTOR, "s", NULL, 0, &made, &host->err));
	assert_string_equal(made.snapshot, "s");
	assert_int_equal(made.keys, 1);
	assert_refused(host, perdure_actor_snapshot(host->session, ACTOR, "s", NULL, 0, NULL, &host->err),
		       PERDURE_EXISTS);
	assert_ok(host,
		  perdure_actor_snapshot(host->session, ACTOR, NULL, "snapshot:s", 3600, NULL, &host->err));
	reply = ask(host, 2, list);
	assert_int_equal(reply->count, 2);
	assert_string_equal(field(&reply->items[0], "snapshot")->text.data, "s");
	perdure_reply_free(reply);
	host_put(host, host->session, "a", "2");
	assert_ok(host, perdure_actor_drop(host->session, ACTOR, &host->err));
	/* It outlives its actor, and the process. */
	host_close(host);
	host_open(host);
	fork_of(host, "again", "snapshot:s", &forked);
	assert_string_equal(get_of(host, "again", "a"), "1");
	assert_string_equal(forked.hash, made.hash);
	reply = ask(host, 3, verify);
	assert_string_equal(field(reply, "hash")->text.data, made.hash);
	perdure_reply_free(reply);
	assert_ok(host, perdure_actor_unsnapshot(host->session, ACTOR, "s", &host->err));
	assert_refused(host, perdure_actor_unsnapshot(host->session, ACTOR, "s", &host->err),
		       PERDURE_NOT_FOUND);
}

/* ---- as lines, there and back ---- */

static int step(struct host *host, struct perdure_session *session, size_t count, const char *const *words,
		struct perdure_bytes piece, struct perdure_reply **ret_reply)
{
	struct perdure_bytes given[8];

	for (size_t i = 0; i < count; i++)
		given[i] = words[i] != NULL ? perdure_text(words[i]) : piece;
	return perdure_past(session, count, given, ret_reply, &host->err);
}

/* All of it, in one piece. */
static struct perdure_reply *export(struct host *host)
{
	const char *begin[] = { "EXPORT", "BEGIN", "user:42" }, *next[] = { "export", "next" },
		   *end[] = { "EXPORT", "END" };
	struct perdure_reply *lines, *more;

	lines = ask(host, 3, begin);
	more = ask(host, 2, next);
	assert_int_equal(more->text.size, 0);
	perdure_reply_free(more);
	perdure_reply_free(ask(host, 2, end));
	return lines;
}

static void test_lines(void **state)
{
	const char *begin[] = { "IMPORT", "BEGIN", "AS", "copy" }, *put[] = { "IMPORT", "PUT", NULL },
		   *end[] = { "IMPORT", "END" }, *abort[] = { "IMPORT", "ABORT" },
		   *elsewhere[] = { "IMPORT", "BEGIN", "AS", "other/copy" },
		   *export_elsewhere[] = { "EXPORT", "BEGIN", "other/user:42" };
	struct perdure_bytes none = { NULL, 0 }, cut;
	struct host *host = *state;
	struct perdure_receipt receipt;
	struct perdure_reply *lines, *made;

	host_put(host, host->session, "a", "1");
	lines = export(host);
	assert_refused(host, step(host, host->session, 4, elsewhere, none, NULL), PERDURE_INVALID);
	assert_refused(host, step(host, host->session, 3, export_elsewhere, none, NULL), PERDURE_INVALID);
	assert_refused(host, step(host, host->session, 2, end, none, NULL), PERDURE_INVALID);
	/* Cut off, it comes to nothing. */
	cut = (struct perdure_bytes){ lines->text.data, lines->text.size - 1 };
	assert_ok(host, step(host, host->session, 4, begin, none, NULL));
	assert_ok(host, step(host, host->session, 3, put, cut, NULL));
	assert_refused(host, step(host, host->session, 2, end, none, NULL), PERDURE_CORRUPT);
	assert_refused(host, step(host, host->session, 2, abort, none, NULL), PERDURE_INVALID);
	assert_string_equal(get_of(host, "copy", "a"), "");
	/* Each session has its own. */
	assert_ok(host, step(host, host->session, 4, begin, none, NULL));
	assert_refused(host, step(host, host->session, 4, begin, none, NULL), PERDURE_INVALID);
	assert_refused(host, step(host, host->other, 3, put, lines->text, NULL), PERDURE_INVALID);
	assert_ok(host, step(host, host->session, 3, put, lines->text, NULL));
	assert_ok(host, step(host, host->session, 2, end, none, &made));
	assert_string_equal(field(made, "actor")->text.data, "copy");
	assert_int_equal(field(made, "keys")->integer, 1);
	assert_string_equal(get_of(host, "copy", "a"), "1");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	assert_true(receipt.lsn > 0);
	perdure_reply_free(made);
	perdure_reply_free(lines);
}

/* What is not ended goes with its session, or the directory. */
static void test_lines_left(void **state)
{
	const char *export_begin[] = { "EXPORT", "BEGIN", "user:42" },
		   *begin[] = { "IMPORT", "BEGIN", "AS", "copy" }, *put[] = { "IMPORT", "PUT", NULL };
	struct perdure_bytes none = { NULL, 0 };
	struct host *host = *state;
	struct perdure_reply *lines;

	host_put(host, host->session, "a", "1");
	lines = export(host);
	assert_ok(host, step(host, host->session, 4, begin, none, NULL));
	assert_ok(host, step(host, host->session, 3, put, lines->text, NULL));
	assert_ok(host, step(host, host->other, 3, export_begin, none, NULL));
	perdure_reply_free(lines);
	perdure_session_free(host->other);
	host->other = NULL;
	assert_ok(host, perdure_close(host->db, &host->err));
	host->db = NULL;
	assert_refused(host, step(host, host->session, 3, put, perdure_text("x"), NULL), PERDURE_INVALID);
	perdure_session_free(host->session);
	host->session = NULL;
	host_open(host);
	assert_string_equal(get_of(host, "copy", "a"), "");
	assert_string_equal(get_of(host, "user:42", "a"), "1");
}

static void test_refused(void **state)
{
	struct host *host = *state;
	struct perdure_bytes words[20] = { perdure_text("HISTORY"), perdure_text("other/actor") };
	struct perdure_remade made = PERDURE_REMADE_INIT;

	host_put(host, host->session, "a", "1");
	assert_refused(host, perdure_past(host->session, 2, words, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_past(host->session, 0, words, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_past(host->session, 2, NULL, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_past(host->session, 20, words, NULL, &host->err), PERDURE_INVALID);
	words[0] = perdure_text("DESTROY");
	assert_refused(host, perdure_past(host->session, 2, words, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_actor_restore(host->session, ACTOR, NULL, 0, NULL, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_actor_restore(host->session, ACTOR, "1000000", 0, NULL, &host->err),
		       PERDURE_AGAIN);
	assert_refused(host, perdure_actor_undrop(host->session, perdure_text("nobody"), NULL, &host->err),
		       PERDURE_NOT_FOUND);
	assert_refused(host,
		       perdure_actor_fork(host->session, ACTOR, perdure_text("x"), "0", NULL, &host->err),
		       PERDURE_NOT_THEN);
	assert_string_equal(perdure_code_name(PERDURE_NOT_THEN), "PERDURE_NOT_THEN");
	made.size = 1;
	assert_refused(host, perdure_actor_restore(host->session, ACTOR, "now", 0, &made, &host->err),
		       PERDURE_INVALID);
	host_begin(host, host->session);
	assert_refused(host, perdure_actor_restore(host->session, ACTOR, "now", 0, NULL, &host->err),
		       PERDURE_INVALID);
	perdure_rollback(host->session);
}

static void test_in_memory(void **state)
{
	const char *import[] = { "IMPORT", "BEGIN" };
	struct host *host = *state;

	host_put(host, host->session, "a", "1");
	assert_refused(host, perdure_actor_snapshot(host->session, ACTOR, "s", NULL, 0, NULL, &host->err),
		       PERDURE_NOT_SUPPORTED);
	assert_refused(host, step(host, host->session, 2, import, (struct perdure_bytes){ NULL, 0 }, NULL),
		       PERDURE_NOT_SUPPORTED);
}

/* ---- many at once, and a handle that is closed meanwhile ---- */

struct forker {
	struct host *host;
	unsigned number, made;
	int last;
};

static void *run_forker(void *argument)
{
	struct forker *forker = argument;
	struct perdure_session *session;
	struct perdure_error err;
	char name[32];

	if (perdure_session_new(forker->host->db, NULL, &session, &err) != 0)
		return NULL;
	do {
		(void)snprintf(name, sizeof name, "f%u-%u", forker->number, forker->made);
		forker->last = perdure_actor_fork(session, ACTOR, perdure_text(name), NULL, NULL, &err);
		forker->made += forker->last == 0;
	} while (forker->last == 0 && forker->made < 1000);
	perdure_session_free(session);
	return NULL;
}

static void test_closed_meanwhile(void **state)
{
	struct host *host = *state;
	struct forker forkers[4];
	pthread_t threads[4];
	char name[32];

	host_put(host, host->session, "a", "1");
	for (unsigned i = 0; i < 4; i++) {
		forkers[i] = (struct forker){ .host = host, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, run_forker, &forkers[i]), 0);
	}
	for (unsigned i = 0; i < 20; i++)
		host_put(host, host->session, "a", "2");
	perdure_session_free(host->session);
	perdure_session_free(host->other);
	host->session = host->other = NULL;
	assert_ok(host, perdure_close(host->db, &host->err));
	host->db = NULL;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	host_open(host);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(forkers[i].last, PERDURE_INVALID);
		for (unsigned n = 0; n < forkers[i].made; n++) {
			(void)snprintf(name, sizeof name, "f%u-%u", i, n);
			assert_true(get_of(host, name, "a")[0] != '\0');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_questions, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_orders, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_snapshots, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_lines, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_lines_left, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_refused, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_in_memory, host_setup_memory, host_teardown),
		cmocka_unit_test_setup_teardown(test_closed_meanwhile, host_setup, host_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
