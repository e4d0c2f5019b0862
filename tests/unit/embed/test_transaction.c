/* Transactions: what they see, what they keep from each other, and what becomes of them. */
#include <stdio.h>
#include <time.h>

#include "embed/embed_private.h"
#include "engine/profile.h"
#include "host.h"

/* ---- one alone ---- */

static void test_all_or_nothing(void **state)
{
	struct host *host = *state;
	struct perdure_receipt receipt;

	host_begin(host, host->session);
	assert_int_equal(perdure_in_transaction(host->session), 1);
	host_put(host, host->session, "a", "1");
	host_put(host, host->session, "b", "2");
	assert_string_equal(host_get(host, host->other, "a"), "");
	assert_ok(host, perdure_commit(host->session, &receipt, &host->err));
	assert_true(receipt.lsn > 0);
	assert_string_not_equal(receipt.bookmark, "");
	assert_int_equal(perdure_in_transaction(host->session), 0);
	assert_string_equal(host_scan(host, host->other, NULL), "a=1 b=2");

	host_begin(host, host->session);
	host_put(host, host->session, "a", "3");
	perdure_rollback(host->session);
	perdure_rollback(host->session);
	assert_string_equal(host_get(host, host->session, "a"), "1");
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_INVALID);
}

static void test_reads_own_writes(void **state)
{
	struct host *host = *state;
	struct perdure_key_info info;
	struct perdure_range range = PERDURE_RANGE_INIT;
	int changed;

	host_put(host, host->session, "a", "1");
	host_put(host, host->session, "b", "2");
	host_put(host, host->session, "d", "4");
	host_begin(host, host->session);
	host_put(host, host->session, "a", "one");
	assert_string_equal(host_get(host, host->session, "a"), "one");
	assert_string_equal(host_get(host, host->session, "b"), "2");
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("b"), &changed, &host->err));
	assert_int_equal(changed, 1);
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("b"), &changed, &host->err));
	assert_int_equal(changed, 0);
	host_put(host, host->session, "c", "3");
	assert_ok(host, perdure_hash_set(host->session, ACTOR, perdure_text("h"), perdure_text("f"),
					 perdure_text("v"), NULL, &host->err));
	assert_ok(host, perdure_look(host->session, ACTOR, perdure_text("h"), &info, &host->err));
	assert_int_equal(info.count, 1);
	assert_string_equal(host_scan(host, host->session, NULL), "a=one c=3 d=4 h");
	range.to = perdure_text("d");
	assert_string_equal(host_scan(host, host->session, &range), "a=one c=3");
	/* Nobody else has seen any of it, and looking has left nothing behind. */
	assert_string_equal(host_scan(host, host->other, NULL), "a=1 b=2 d=4");
	host_commit(host, host->session);
	assert_string_equal(host_scan(host, host->other, NULL), "a=one c=3 d=4 h");
}

static void test_commands_within(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes incr[] = { perdure_text("INCR"), perdure_text("n") };
	const struct perdure_bytes keys[] = { perdure_text("KEYS"), perdure_text("*") };
	const struct perdure_bytes wrong[] = { perdure_text("HSET"), perdure_text("n"), perdure_text("f"),
					       perdure_text("v") };
	struct perdure_reply *reply;

	assert_ok(host, perdure_session_use(host->session, ACTOR, &host->err));
	host_put(host, host->session, "n", "5");
	host_begin(host, host->session);
	for (int i = 6; i < 9; i++) {
		assert_ok(host, perdure_command(host->session, 2, incr, &reply, &host->err));
		assert_int_equal(reply->integer, i);
		perdure_reply_free(reply);
	}
	assert_refused(host, perdure_command(host->session, 2, keys, &reply, &host->err),
		       PERDURE_NOT_SUPPORTED);
	/* Refused at once, and the rest goes on. */
	assert_refused(host, perdure_command(host->session, 4, wrong, &reply, &host->err),
		       PERDURE_WRONG_TYPE);
	/* The current actor is that of the call, not of the commit. */
	assert_ok(host, perdure_session_use(host->session, perdure_text("another"), &host->err));
	host_commit(host, host->session);
	assert_string_equal(host_get(host, host->session, "n"), "8");
}

/* What nobody asked the outcome of fails with the commit, and takes the rest along. */
static void test_late_refusal(void **state)
{
	struct host *host = *state;

	host_put(host, host->session, "s", "text");
	host_begin(host, host->session);
	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_hash_set(host->session, ACTOR, perdure_text("s"), perdure_text("f"),
					 perdure_text("v"), NULL, &host->err));
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_WRONG_TYPE);
	assert_string_equal(host_scan(host, host->session, NULL), "s=text");
	assert_int_equal(perdure_in_transaction(host->session), 0);
}

/* ---- two at once ---- */

static void test_lost_update(void **state)
{
	struct host *host = *state;

	host_put(host, host->session, "n", "1");
	host_begin(host, host->session);
	host_begin(host, host->other);
	assert_string_equal(host_get(host, host->session, "n"), "1");
	assert_string_equal(host_get(host, host->other, "n"), "1");
	host_put(host, host->session, "n", "2");
	host_put(host, host->other, "n", "3");
	host_commit(host, host->session);
	assert_refused(host, perdure_commit(host->other, NULL, &host->err), PERDURE_CONFLICT);
	assert_string_equal(host_get(host, host->other, "n"), "2");
}

/* Each reads what the other writes. */
static void test_write_skew(void **state)
{
	struct host *host = *state;

	host_put(host, host->session, "x", "on");
	host_put(host, host->session, "y", "on");
	host_begin(host, host->session);
	host_begin(host, host->other);
	assert_string_equal(host_get(host, host->session, "y"), "on");
	assert_string_equal(host_get(host, host->other, "x"), "on");
	host_put(host, host->session, "x", "off");
	host_put(host, host->other, "y", "off");
	host_commit(host, host->session);
	assert_refused(host, perdure_commit(host->other, NULL, &host->err), PERDURE_CONFLICT);
	assert_string_equal(host_scan(host, host->session, NULL), "x=off y=on");
}

/* The same through scans: what was not there counts, too. */
static void test_phantom(void **state)
{
	struct host *host = *state;
	struct perdure_range range = PERDURE_RANGE_INIT;

	range.prefix = perdure_text("booking:");
	host_begin(host, host->session);
	host_begin(host, host->other);
	host_put(host, host->session, "unrelated", "");
	assert_string_equal(host_scan(host, host->session, &range), "");
	assert_string_equal(host_scan(host, host->other, &range), "");
	host_put(host, host->session, "booking:1", "mine");
	host_put(host, host->other, "booking:2", "theirs");
	host_commit(host, host->other);
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
}

/* What comes behind a limit was not seen, and is no conflict. */
static void test_scan_sees_its_stretch_only(void **state)
{
	struct host *host = *state;
	struct perdure_range range = PERDURE_RANGE_INIT;

	for (char key[2] = "a"; key[0] < 'f'; key[0]++)
		host_put(host, host->session, key, "1");
	range.limit = 2;
	host_begin(host, host->session);
	host_put(host, host->session, "a", "2");
	assert_string_equal(host_scan(host, host->session, &range), "a=2 b=1");
	host_put(host, host->other, "bb", "new");
	host_commit(host, host->session);

	host_begin(host, host->session);
	assert_string_equal(host_scan(host, host->session, &range), "a=2 b=1");
	host_put(host, host->session, "z", "");
	host_put(host, host->other, "aa", "new");
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
}

static void test_absence_is_read(void **state)
{
	struct host *host = *state;

	host_begin(host, host->session);
	assert_string_equal(host_get(host, host->session, "a"), "");
	host_put(host, host->session, "a", "mine");
	host_put(host, host->other, "a", "theirs");
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
}

/* All reads are of one moment: the second read is refused before anybody could act on a mix of two. */
static void test_one_moment(void **state)
{
	struct host *host = *state;
	struct perdure_value value;

	host_put(host, host->session, "x", "1");
	host_put(host, host->session, "y", "1");
	host_begin(host, host->session);
	assert_string_equal(host_get(host, host->session, "x"), "1");
	host_begin(host, host->other);
	host_put(host, host->other, "x", "2");
	host_put(host, host->other, "y", "2");
	host_commit(host, host->other);
	assert_refused(host, perdure_get(host->session, ACTOR, perdure_text("y"), &value, &host->err),
		       PERDURE_CONFLICT);
	/* It cannot be saved. */
	assert_refused(host,
		       perdure_put(host->session, ACTOR, perdure_text("z"), perdure_text(""), &host->err),
		       PERDURE_CONFLICT);
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
	host_begin(host, host->session);
	assert_string_equal(host_get(host, host->session, "y"), "2");
	host_commit(host, host->session);
}

/* Writes that read nothing meet nobody. */
static void test_blind_writes(void **state)
{
	struct host *host = *state;

	host_put(host, host->session, "a", "0");
	host_begin(host, host->session);
	host_begin(host, host->other);
	host_put(host, host->session, "a", "1");
	host_put(host, host->other, "a", "2");
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("b"), NULL, &host->err));
	host_put(host, host->other, "b", "2");
	host_commit(host, host->other);
	host_commit(host, host->session);
	assert_string_equal(host_scan(host, host->session, NULL), "a=1");
}

static void test_hash_conflicts(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes h = perdure_text("h");
	struct perdure_value value;

	assert_ok(host, perdure_hash_set(host->session, ACTOR, h, perdure_text("a"), perdure_text("1"), NULL,
					 &host->err));
	host_begin(host, host->session);
	assert_ok(host, perdure_hash_get(host->session, ACTOR, h, perdure_text("a"), &value, &host->err));
	perdure_free(value.data);
	host_put(host, host->session, "seen", "1");
	assert_ok(host, perdure_hash_set(host->other, ACTOR, h, perdure_text("a"), perdure_text("2"), NULL,
					 &host->err));
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
}

/* ---- preconditions ---- */

static void test_preconditions(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes a = perdure_text("a"), none = { NULL, 0 };
	struct perdure_key_info info;

	host_put(host, host->session, "a", "1");
	assert_ok(host, perdure_look(host->session, ACTOR, a, &info, &host->err));
	host_begin(host, host->session);
	assert_ok(host, perdure_require(host->session, PERDURE_IF_EXISTS, ACTOR, a, 0, none, &host->err));
	assert_ok(host, perdure_require(host->session, PERDURE_IF_VERSION, ACTOR, a, info.version, none,
					&host->err));
	assert_ok(host, perdure_require(host->session, PERDURE_IF_VALUE, ACTOR, a, 0, perdure_text("1"),
					&host->err));
	assert_ok(host, perdure_require(host->session, PERDURE_IF_ABSENT, ACTOR, perdure_text("b"), 0, none,
					&host->err));
	host_put(host, host->session, "a", "2");
	host_commit(host, host->session);

	host_begin(host, host->session);
	assert_ok(host, perdure_require(host->session, PERDURE_IF_VERSION, ACTOR, a, info.version, none,
					&host->err));
	host_put(host, host->session, "a", "3");
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
	host_begin(host, host->session);
	assert_ok(host, perdure_require(host->session, PERDURE_IF_ABSENT, ACTOR, a, 0, none, &host->err));
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
	assert_string_equal(host_get(host, host->session, "a"), "2");
	assert_refused(host, perdure_require(host->session, PERDURE_IF_ABSENT, ACTOR, a, 0, none, &host->err),
		       PERDURE_INVALID);
	host_begin(host, host->session);
	assert_refused(host, perdure_require(host->session, 17, ACTOR, a, 0, none, &host->err),
		       PERDURE_INVALID);
}

/* ---- once ---- */

static void begin_once(struct host *host, const char *key, const char *request)
{
	struct perdure_transaction_options options = PERDURE_TRANSACTION_OPTIONS_INIT;

	options.idempotency_key = perdure_text(key);
	options.idempotency_request = perdure_text(request);
	assert_ok(host, perdure_begin(host->session, &options, &host->err));
}

static void test_idempotency(void **state)
{
	struct host *host = *state;
	const struct perdure_bytes incr[] = { perdure_text("INCR"), perdure_text("{user:42}orders") };
	struct perdure_receipt first, second;

	begin_once(host, "order-1", "3 apples");
	assert_ok(host, perdure_command(host->session, 2, incr, NULL, &host->err));
	assert_ok(host, perdure_set_result(host->session, perdure_text("your number is 7"), &host->err));
	assert_ok(host, perdure_commit(host->session, &first, &host->err));
	assert_int_equal(first.duplicate, 0);
	assert_memory_equal(perdure_result(host->session).data, "your number is 7", 16);

	/* Another life of the program, in which it reads what the first had written, and would do something else. */
	host_close(host);
	host_open(host);
	begin_once(host, "order-1", "3 apples");
	assert_int_equal(perdure_result(host->session).size, 0);
	assert_string_equal(host_get(host, host->session, "orders"), "1");
	host_put(host, host->session, "orders", "99");
	assert_ok(host, perdure_commit(host->session, &second, &host->err));
	assert_int_equal(second.duplicate, 1);
	assert_int_equal(second.lsn, first.lsn);
	assert_string_equal(second.bookmark, first.bookmark);
	assert_int_equal(perdure_result(host->session).size, 16);
	assert_memory_equal(perdure_result(host->session).data, "your number is 7", 16);
	assert_string_equal(host_get(host, host->session, "orders"), "1");

	begin_once(host, "order-1", "4 pears");
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_EXISTS);
	host_begin(host, host->session);
	assert_refused(host, perdure_set_result(host->session, perdure_text(""), &host->err),
		       PERDURE_INVALID);
}

static void test_levels(void **state)
{
	struct host *host = *state;
	struct perdure_transaction_options options = PERDURE_TRANSACTION_OPTIONS_INIT;
	struct perdure_receipt receipt;

	for (options.level = PERDURE_LEVEL_NONE; options.level <= PERDURE_LEVEL_FULL; options.level++) {
		assert_ok(host, perdure_begin(host->session, &options, &host->err));
		host_put(host, host->session, "a", "1");
		assert_ok(host, perdure_commit(host->session, &receipt, &host->err));
		assert_int_equal(receipt.level, options.level);
	}
	assert_ok(host, perdure_session_set_level(host->session, PERDURE_LEVEL_STANDARD, &host->err));
	host_put(host, host->session, "a", "2");
	assert_ok(host, perdure_last_receipt(host->session, &receipt, &host->err));
	assert_int_equal(receipt.level, PERDURE_LEVEL_STANDARD);
	options.level = 6;
	assert_refused(host, perdure_begin(host->session, &options, &host->err), PERDURE_INVALID);
}

static void test_levels_in_memory(void **state)
{
	struct host *host = *state;
	struct perdure_transaction_options options = PERDURE_TRANSACTION_OPTIONS_INIT;

	assert_refused(host, perdure_session_set_level(host->session, PERDURE_LEVEL_STRICT, &host->err),
		       PERDURE_NOT_SUPPORTED);
	options.level = PERDURE_LEVEL_STRICT;
	assert_ok(host, perdure_begin(host->session, &options, &host->err));
	host_put(host, host->session, "a", "1");
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_NOT_SUPPORTED);
	assert_string_equal(host_get(host, host->session, "a"), "");
}

/* ---- what expires ---- */

static uint64_t real_us(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* All reads are of one moment: what was seen and expires by its time is a conflict, also before that is written down. */
static void expire_between(struct host *host, bool by_scan)
{
	unsigned seen = 0;
	int result = 0;

	host_put(host, host->session, "other", "0");
	assert_ok(host, perdure_put_until(host->session, ACTOR, perdure_text("k"), perdure_text("v"),
					  real_us() + 40000, &host->err));
	host_begin(host, host->session);
	if (by_scan && strcmp(host_scan(host, host->session, NULL), "k=v other=0") != 0) {
		perdure_rollback(host->session); /* a slow machine: too late */
		return;
	}
	for (; result != PERDURE_CONFLICT; seen++) {
		struct perdure_value value = { NULL, 0, 0, 0 };

		result = perdure_get(host->session, ACTOR, perdure_text(by_scan ? "other" : "k"), &value,
				     &host->err);
		perdure_free(value.data);
		if (seen == 0 && result == PERDURE_NOT_FOUND) {
			perdure_rollback(host->session);
			return;
		}
		if (result != 0 && result != PERDURE_CONFLICT)
			fail_msg("two reads of one moment: %s", host->err.text);
	}
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_CONFLICT);
}

static void test_expiry_is_a_conflict(void **state)
{
	for (unsigned i = 0; i < 6; i++)
		expire_between(*state, i % 2 == 1);
}

/* ---- bounds ---- */

static int set_quota(struct pd_job *job)
{
	const struct pd_profile_change *change = job->argument;
	struct pd_session *session = pd_session_new(job->engine, 1, "test", "test");
	struct pd_receipt receipt = { 0 };
	int result = pd_engine_change_profile(job->engine, session, true, pd_slice(NULL, 0), change, &receipt,
					      &job->err);

	job->wait = receipt.wait;
	job->wrote = true;
	pd_session_free(session);
	return result;
}

/* What a transaction has read is looked at again when it goes on, and what it has written is done again for what it reads:
 * that is nobody's operation. */
static void test_quota_on_operations(void **state)
{
	const struct pd_profile_change change = { .has_ops = true, .quotas.ops = 100 };
	struct pd_job job = { .run = set_quota, .argument = (void *)(uintptr_t)&change };
	struct perdure_range range = PERDURE_RANGE_INIT;
	struct host *host = *state;
	char key[16];

	host_put(host, host->session, "other", "0");
	assert_ok(host, pd_embed_run(host->db, &job, &host->err));
	host_begin(host, host->session);
	for (unsigned i = 0; i < 30; i++) {
		(void)snprintf(key, sizeof key, "k%02u", i);
		host_put(host, host->session, key, "v");
		assert_string_equal(host_get(host, host->session, key), "v");
	}
	range.prefix = perdure_text("k");
	(void)host_scan(host, host->session, &range);
	/* Somebody comes in between: all is looked at once more. */
	host_put(host, host->other, "other", "1");
	host_commit(host, host->session);
}

static void test_too_large(void **state)
{
	struct host *host = *state;
	size_t size = (size_t)30 << 20;
	char *value = calloc(1, size);

	assert_non_null(value);
	host_begin(host, host->session);
	assert_ok(host, perdure_put(host->session, ACTOR, perdure_text("1"), perdure_data(value, size),
				    &host->err));
	assert_ok(host, perdure_put(host->session, ACTOR, perdure_text("2"), perdure_data(value, size),
				    &host->err));
	assert_refused(
		host,
		perdure_put(host->session, ACTOR, perdure_text("3"), perdure_data(value, size), &host->err),
		PERDURE_TOO_LARGE);
	perdure_rollback(host->session);
	free(value);
}

static void test_many_operations(void **state)
{
	struct host *host = *state;
	struct perdure_status status = PERDURE_STATUS_INIT;
	char key[32];

	host_begin(host, host->session);
	for (unsigned i = 0; i < 20000; i++) {
		(void)snprintf(key, sizeof key, "%06u", i);
		host_put(host, host->session, key, "value");
	}
	assert_string_equal(host_get(host, host->session, "012345"), "value");
	host_commit(host, host->session);
	assert_ok(host, perdure_get_status(host->db, &status, &host->err));
	assert_int_equal(status.keys, 20000);
	/* One transaction is one record. */
	assert_true(status.records < 10);
}

static void test_scan_ends_with_its_transaction(void **state)
{
	struct host *host = *state;
	struct perdure_scan *scan;
	struct perdure_item item;

	host_put(host, host->session, "a", "1");
	host_begin(host, host->session);
	assert_ok(host, perdure_scan_keys(host->session, ACTOR, NULL, &scan, &host->err));
	host_commit(host, host->session);
	assert_refused(host, perdure_scan_next(scan, &item, &host->err), PERDURE_INVALID);
	perdure_scan_free(scan);
	assert_ok(host, perdure_scan_keys(host->session, ACTOR, NULL, &scan, &host->err));
	host_begin(host, host->session);
	assert_refused(host, perdure_scan_next(scan, &item, &host->err), PERDURE_INVALID);
	perdure_scan_free(scan);
}

#define ON_DISK(test)   cmocka_unit_test_setup_teardown(test, host_setup, host_teardown)
#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, host_setup_memory, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_MEMORY(test_all_or_nothing),
		IN_MEMORY(test_reads_own_writes),
		IN_MEMORY(test_commands_within),
		IN_MEMORY(test_late_refusal),
		IN_MEMORY(test_lost_update),
		IN_MEMORY(test_write_skew),
		IN_MEMORY(test_phantom),
		IN_MEMORY(test_scan_sees_its_stretch_only),
		IN_MEMORY(test_absence_is_read),
		IN_MEMORY(test_one_moment),
		IN_MEMORY(test_blind_writes),
		IN_MEMORY(test_expiry_is_a_conflict),
		IN_MEMORY(test_hash_conflicts),
		IN_MEMORY(test_preconditions),
		ON_DISK(test_idempotency),
		ON_DISK(test_levels),
		IN_MEMORY(test_levels_in_memory),
		IN_MEMORY(test_quota_on_operations),
		IN_MEMORY(test_too_large),
		IN_MEMORY(test_many_operations),
		IN_MEMORY(test_scan_ends_with_its_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
