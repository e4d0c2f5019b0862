/* Held replies: order, merging, and what a fence does. The engine is a pair of marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "front/resp/hold.h"
#include "wire/resp.h"

static struct {
	uint64_t durable_lsn, written_lsn;
	bool fenced;
} marks;

int pd_engine_settled(const struct pd_engine *engine, const struct pd_wait *wait)
{
	(void)engine;
	if (marks.durable_lsn >= wait->durable_lsn && marks.written_lsn >= wait->written_lsn)
		return 1;
	return marks.fenced ? PD_FENCED : 0;
}

struct fixture {
	struct pd_resp_hold hold;
	struct pd_buffer output;
	uint64_t base;
};

static int set_up(void **state)
{
	struct fixture *fixture = pd_calloc(1, sizeof *fixture);

	assert_non_null(fixture);
	pd_buffer_init(&fixture->output, 1 << 20);
	marks.durable_lsn = marks.written_lsn = 0;
	marks.fenced = false;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	pd_resp_hold_done(&fixture->hold);
	pd_buffer_done(&fixture->output);
	pd_free(fixture);
	pd_memory_fail(0, 0);
	return 0;
}

/* Write a reply that waits for `durable` (0: nothing) in a turn. */
static void reply(struct fixture *fixture, const char *text, uint64_t durable, uint64_t turn)
{
	struct pd_wait wait = { .durable_lsn = durable };
	struct pd_resp_writer writer = { .buffer = &fixture->output, .protocol = 2 };

	pd_resp_write_status(&writer, text);
	assert_int_equal(pd_resp_hold_add(&fixture->hold, NULL, fixture->base + fixture->output.size,
					  durable == 0 ? NULL : &wait, turn),
			 0);
}

static void expect_shown(const struct fixture *fixture, const char *text)
{
	size_t size = (size_t)(fixture->hold.shown - fixture->base);

	assert_int_equal(size, strlen(text));
	assert_memory_equal(fixture->output.data, text, size);
}

static void test_settled_is_shown_at_once(void **state)
{
	struct fixture *fixture = *state;

	marks.durable_lsn = 5;
	reply(fixture, "A", 5, 1);
	reply(fixture, "B", 0, 1);
	assert_int_equal(fixture->hold.count, 0);
	expect_shown(fixture, "+A\r\n+B\r\n");
}

static void test_order_is_kept(void **state)
{
	struct fixture *fixture = *state;

	reply(fixture, "A", 7, 1);
	/* Waits for nothing itself, and yet not before the one before it. */
	reply(fixture, "B", 0, 2);
	expect_shown(fixture, "");
	assert_int_equal(pd_resp_hold_release(&fixture->hold, NULL), 0);
	expect_shown(fixture, "");
	marks.durable_lsn = 7;
	assert_int_equal(pd_resp_hold_release(&fixture->hold, NULL), 0);
	expect_shown(fixture, "+A\r\n+B\r\n");
	assert_int_equal(fixture->hold.count, 0);
}

static void test_one_turn_is_one_entry(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t lsn = 1; lsn <= 1000; lsn++)
		reply(fixture, "A", lsn, 3);
	assert_int_equal(fixture->hold.count, 1);
	assert_int_equal(fixture->hold.entries[fixture->hold.first].replies, 1000);
	marks.durable_lsn = 999;
	assert_int_equal(pd_resp_hold_release(&fixture->hold, NULL), 0);
	expect_shown(fixture, "");
	marks.durable_lsn = 1000;
	assert_int_equal(pd_resp_hold_release(&fixture->hold, NULL), 0);
	assert_int_equal(fixture->hold.shown, 4000);
}

static void test_many_turns_settle_one_by_one(void **state)
{
	struct fixture *fixture = *state;
	uint64_t released = 0;

	for (uint64_t turn = 1; turn <= 200; turn++) {
		reply(fixture, "A", turn, turn);
		/* The disk is ten groups behind. */
		if (turn > 10) {
			marks.durable_lsn = turn - 10;
			assert_int_equal(pd_resp_hold_release(&fixture->hold, NULL), 0);
			released = turn - 10;
		}
		assert_int_equal(fixture->hold.shown, released * 4);
		assert_int_equal(fixture->hold.count, turn - released);
	}
	/* Released entries make room: the queue is no longer than what was ever held at once needs. */
	assert_true(fixture->hold.capacity <= 32);
}

static void test_fence_replaces_each_reply(void **state)
{
	struct fixture *fixture = *state;

	fixture->base = 1000000;
	fixture->hold.shown = fixture->base;
	marks.durable_lsn = 1;
	reply(fixture, "SHOWN", 1, 1);
	reply(fixture, "A", 2, 1);
	reply(fixture, "B", 3, 2);
	reply(fixture, "C", 3, 2);
	reply(fixture, "D", 0, 3);
	reply(fixture, "E", 9, 4);
	marks.durable_lsn = 2;
	marks.fenced = true;
	assert_int_equal(pd_resp_hold_release(&fixture->hold, NULL), PD_FENCED);
	expect_shown(fixture, "+SHOWN\r\n+A\r\n");
	assert_int_equal(
		pd_resp_hold_fence(&fixture->hold, NULL, &fixture->output, fixture->base, "FENCED x"), 0);
	assert_int_equal(fixture->hold.count, 0);
	expect_shown(fixture, "+SHOWN\r\n+A\r\n-FENCED x\r\n-FENCED x\r\n+D\r\n-FENCED x\r\n");
	assert_int_equal(fixture->output.size, fixture->hold.shown - fixture->base);
	/* Life goes on behind it. */
	reply(fixture, "F", 0, 5);
	assert_int_equal(fixture->hold.count, 0);
	assert_int_equal(fixture->output.size, fixture->hold.shown - fixture->base);
}

static void test_no_memory(void **state)
{
	struct fixture *fixture = *state;
	struct pd_wait wait = { .durable_lsn = 1 };

	assert_int_equal(pd_buffer_append(&fixture->output, "+A\r\n", 4), 0);
	pd_memory_fail(1, 0);
	assert_int_equal(pd_resp_hold_add(&fixture->hold, NULL, 4, &wait, 1), PD_NO_MEMORY);
	assert_int_equal(fixture->hold.count, 0);
	assert_int_equal(fixture->hold.shown, 0);
	assert_int_equal(pd_resp_hold_add(&fixture->hold, NULL, 4, &wait, 1), 0);
	marks.fenced = true;
	pd_memory_fail(1, 0);
	assert_int_equal(pd_resp_hold_fence(&fixture->hold, NULL, &fixture->output, 0, "FENCED"),
			 PD_NO_MEMORY);
	assert_int_equal(fixture->hold.count, 1);
	assert_int_equal(fixture->output.size, 4);
}

/* A message that will never settle was never sent; the replies beside it are told apart from it. */
static void test_a_fence_drops_messages(void **state)
{
	struct fixture *fixture = *state;
	struct pd_wait wait = { .durable_lsn = 7 };
	struct pd_resp_writer writer = { .buffer = &fixture->output, .protocol = 3 };

	for (int turn = 1; turn <= 2; turn++) {
		reply(fixture, "A", 7, (uint64_t)turn);
		pd_resp_write_push(&writer, 1);
		pd_resp_write_bulk_string(&writer, "message");
		assert_int_equal(pd_resp_hold_add_push(&fixture->hold, NULL,
						       fixture->base + fixture->output.size, &wait,
						       (uint64_t)turn),
				 0);
		reply(fixture, "B", 0, (uint64_t)turn);
	}
	/* One alone in its turn. */
	pd_resp_write_push(&writer, 1);
	pd_resp_write_bulk_string(&writer, "message");
	assert_int_equal(
		pd_resp_hold_add_push(&fixture->hold, NULL, fixture->base + fixture->output.size, &wait, 3),
		0);
	marks.fenced = true;
	assert_int_equal(pd_resp_hold_release(&fixture->hold, NULL), PD_FENCED);
	assert_int_equal(
		pd_resp_hold_fence(&fixture->hold, NULL, &fixture->output, fixture->base, "FENCED x"), 0);
	expect_shown(fixture, "-FENCED x\r\n-FENCED x\r\n-FENCED x\r\n-FENCED x\r\n");
	assert_int_equal(fixture->output.size, 4 * strlen("-FENCED x\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_fence_drops_messages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_settled_is_shown_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_turn_is_one_entry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_turns_settle_one_by_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fence_replaces_each_reply, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
