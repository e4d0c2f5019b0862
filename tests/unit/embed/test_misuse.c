/* What callers get wrong, and what goes wrong for them: an answer, and nothing lost. */
#include "host.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

static void test_null(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes lie = { NULL, 3 }, a = perdure_text("a");
	struct perdure_session *session;
	struct perdure_key_info info;
	struct perdure_value value;
	struct perdure_scan *scan;
	struct perdure_item item;
	struct perdure *db;

	assert_refused(host, perdure_open(NULL, NULL, &db, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_open("", NULL, &db, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_open("data", NULL, NULL, &host->err), PERDURE_INVALID);
	assert_int_equal(perdure_open(NULL, NULL, &db, NULL), PERDURE_INVALID);
	assert_int_equal(perdure_close(NULL, NULL), 0);
	assert_refused(host, perdure_session_new(NULL, NULL, &session, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_session_new(host->db, "a/b", &session, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_session_new(host->db, "", &session, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_put(NULL, ACTOR, a, a, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_put(host->session, ACTOR, lie, a, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_put(host->session, ACTOR, a, lie, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_put(host->session, lie, a, a, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_get(host->session, ACTOR, a, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_get(NULL, ACTOR, a, &value, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_look(host->session, ACTOR, a, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_look(NULL, ACTOR, a, &info, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_scan_keys(host->session, ACTOR, NULL, NULL, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_scan_keys(NULL, ACTOR, NULL, &scan, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_scan_next(NULL, &item, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_command(host->session, 1, NULL, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_command(host->session, 1, &lie, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_get_status(host->db, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_sync(NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_bookmark_check(host->db, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_last_receipt(NULL, NULL, &host->err), PERDURE_INVALID);
	perdure_session_free(NULL);
	perdure_scan_free(NULL);
	perdure_reply_free(NULL);
	perdure_free(NULL);
	perdure_rollback(NULL);
	assert_int_equal(perdure_in_transaction(NULL), 0);
	assert_int_equal(perdure_result(NULL).size, 0);
}

static void test_null_in_options(void **state)
{
	struct host *host = *state;
	struct perdure_transaction_options none = PERDURE_TRANSACTION_OPTIONS_INIT;
	struct perdure_bytes lie = { NULL, 3 };

	for (unsigned i = 0; i < 3; i++) {
		struct perdure_transaction_options options = none;

		*(i == 0   ? &options.idempotency_key
		  : i == 1 ? &options.idempotency_request
			   : &options.request_id) = lie;
		assert_refused(host, perdure_begin(host->session, &options, &host->err), PERDURE_INVALID);
	}
	assert_int_equal(perdure_begin(host->session, &none, &host->err), 0);
	perdure_rollback(host->session);
}

static void test_options(void **state)
{
	struct host *host = *state;
	struct perdure_options options = host->options;
	struct perdure *db;

	options.size = 1;
	assert_refused(host, perdure_open("x", &options, &db, &host->err), PERDURE_INVALID);
	options.size = sizeof options;
	options.flags = 1u << 20;
	assert_refused(host, perdure_open("x", &options, &db, &host->err), PERDURE_INVALID);
	options.flags = PERDURE_OPEN_IN_MEMORY;
	options.level = 99;
	assert_refused(host, perdure_open("x", &options, &db, &host->err), PERDURE_INVALID);
	options.level = 0;
	options.flags = PERDURE_OPEN_EXISTING;
	assert_refused(host, perdure_open("/nowhere/at/all", &options, &db, &host->err), PERDURE_NOT_FOUND);
	assert_refused(host, perdure_open("/proc/perdure", NULL, &db, &host->err), PERDURE_NOT_FOUND);
	/* A program that was built with an older header: its options end earlier. */
	options.size = offsetof(struct perdure_options, client);
	options.client = (const char *)1;
	options.flags = PERDURE_OPEN_IN_MEMORY;
	assert_ok(host, perdure_open(NULL, &options, &db, &host->err));
	assert_ok(host, perdure_close(db, &host->err));
}

static void test_in_use(void **state)
{
	struct host *host = *state;
	struct perdure *db;
	char id[32];

	assert_refused(host, perdure_open(host->path, NULL, &db, &host->err), PERDURE_BUSY);
	(void)snprintf(id, sizeof id, "%d", (int)getpid());
	assert_non_null(strstr(host->err.text, id));
}

static void test_not_ours(void **state)
{
	struct host *host = *state;
	struct perdure *db;
	char path[600];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/../not-ours-%d", host->path, (int)getpid());
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof path, "%s/../not-ours-%d/letter", host->path, (int)getpid());
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fclose(file);
	*strrchr(path, '/') = '\0';
	assert_refused(host, perdure_open(path, NULL, &db, &host->err), PERDURE_INVALID);
	host_remove(path);
}

static void test_closed(void **state)
{
	struct host *host = *state;
	struct perdure_value value;
	struct perdure_scan *scan;
	struct perdure_item item;

	host_put(host, host->session, "a", "1");
	host_begin(host, host->session);
	host_put(host, host->session, "a", "2");
	assert_ok(host, perdure_scan_keys(host->other, ACTOR, NULL, &scan, &host->err));
	assert_ok(host, perdure_close(host->db, &host->err));
	assert_refused(host, perdure_get(host->session, ACTOR, perdure_text("a"), &value, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host,
		       perdure_put(host->other, ACTOR, perdure_text("a"), perdure_text("3"), &host->err),
		       PERDURE_INVALID);
	perdure_session_free(host->other);
	while (perdure_scan_next(scan, &item, &host->err) == 0)
		fail_msg("a scan goes on without its session");
	assert_int_equal(host->err.code, PERDURE_INVALID);
	perdure_scan_free(scan);
	perdure_session_free(host->session);
	host_open(host);
	/* What was open was rolled back. */
	assert_string_equal(host_get(host, host->session, "a"), "1");
}

static void test_read_only(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes incr[] = { perdure_text("INCR"), perdure_text("a") };

	host_put(host, host->session, "a", "1");
	host_close(host);
	host->options.flags = PERDURE_OPEN_READ_ONLY;
	host_open(host);
	assert_string_equal(host_get(host, host->session, "a"), "1");
	assert_refused(host,
		       perdure_put(host->session, ACTOR, perdure_text("a"), perdure_text("2"), &host->err),
		       PERDURE_READ_ONLY);
	assert_refused(host, perdure_command(host->session, 2, incr, NULL, &host->err), PERDURE_READ_ONLY);
	host_begin(host, host->session);
	assert_refused(host, perdure_delete(host->session, ACTOR, perdure_text("a"), NULL, &host->err),
		       PERDURE_READ_ONLY);
	host_commit(host, host->session);
}

static int give_up(void *argument, const struct perdure_progress *progress)
{
	(void)progress;
	++*(int *)argument;
	return 1;
}

/* Where there is little to replay, nobody is asked. */
static void test_progress(void **state)
{
	struct host *host = *state;
	int calls = 0;

	host_put(host, host->session, "a", "1");
	host_close(host);
	host->options.progress = give_up;
	host->options.progress_argument = &calls;
	host_open(host);
	assert_int_equal(calls, 0);
}

/* ---- processes ---- */

static void test_fork(void **state)
{
	struct host *host = *state;
	struct perdure_value value;
	int status;
	pid_t child;

	host_put(host, host->session, "a", "1");
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct perdure_session *session;

		if (perdure_get(host->session, ACTOR, perdure_text("a"), &value, NULL) != PERDURE_INVALID ||
		    perdure_session_new(host->db, NULL, &session, NULL) != PERDURE_INVALID ||
		    perdure_sync(host->db, NULL) != PERDURE_INVALID)
			_exit(1);
		perdure_session_free(host->session);
		_exit(perdure_close(host->db, NULL) == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_string_equal(host_get(host, host->session, "a"), "1");
}

/* ---- memory ---- */

static int work(struct host *host)
{
	struct perdure_session *session = NULL;
	struct perdure_scan *scan = NULL;
	struct perdure_item item;
	struct perdure_value value;
	int result = perdure_session_new(host->db, NULL, &session, &host->err);

	if (result != 0)
		return result;
	result = perdure_begin(session, NULL, &host->err);
	if (result == 0)
		result = perdure_put(session, ACTOR, perdure_text("a"), perdure_text("1"), &host->err);
	if (result == 0)
		result = perdure_hash_set(session, ACTOR, perdure_text("h"), perdure_text("f"),
					  perdure_text("1"), NULL, &host->err);
	if (result == 0)
		result = perdure_get(session, ACTOR, perdure_text("a"), &value, &host->err);
	if (result == 0)
		perdure_free(value.data);
	if (result == 0)
		result = perdure_scan_keys(session, ACTOR, NULL, &scan, &host->err);
	while (result == 0)
		result = perdure_scan_next(scan, &item, &host->err);
	perdure_scan_free(scan);
	if (result == PERDURE_END)
		result = perdure_commit(session, NULL, &host->err);
	perdure_session_free(session);
	return result;
}

/* Each allocation fails once: the answer is "no memory", and all of the transaction is there or nothing. */
static void test_no_memory(void **state)
{
	struct host *host = *state;
	unsigned refused = 0;

	for (unsigned long n = 1; n < 400; n++) {
		int result;

		assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("a"), NULL, &host->err));
		assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("h"), NULL, &host->err));
		pd_memory_fail(n, 0);
		result = work(host);
		pd_memory_fail(0, 0);
		if (result != 0) {
			assert_int_equal(result, PERDURE_NO_MEMORY);
			refused++;
		}
		assert_string_equal(host_scan(host, host->other, NULL), result == 0 ? "a=1 h" : "");
		if (result == 0 && n > refused + 40)
			break;
	}
	assert_true(refused > 10);
}

static void test_codes(void **state)
{
	(void)state;
	assert_string_equal(perdure_code_name(PERDURE_CONFLICT), "PERDURE_CONFLICT");
	assert_string_equal(perdure_code_name(0), "PERDURE_OK");
	assert_string_equal(perdure_code_name(77), "unknown code");
	assert_string_equal(perdure_code_text(PERDURE_NO_SPACE), "no space left on the device");
	assert_int_equal(perdure_code_retryable(PERDURE_CONFLICT), 1);
	assert_int_equal(perdure_code_retryable(PERDURE_FENCED), 0);
	assert_int_equal(perdure_abi_version(), PERDURE_ABI_VERSION);
	/* All that the engine may answer with. */
#define X(name, number, retryable, resp, sqlstate, http, grpc, text) \
	assert_string_not_equal(perdure_code_name(name), "unknown code");
	PD_ERROR_LIST(X)
#undef X
}

#define ON_DISK(test)   cmocka_unit_test_setup_teardown(test, host_setup, host_teardown)
#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, host_setup_memory, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(test_null),      IN_MEMORY(test_null_in_options), IN_MEMORY(test_options),
		ON_DISK(test_in_use),      ON_DISK(test_not_ours),          ON_DISK(test_closed),
		ON_DISK(test_read_only),   ON_DISK(test_progress),          ON_DISK(test_fork),
		IN_MEMORY(test_no_memory), cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
