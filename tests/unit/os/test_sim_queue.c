/* Writes in flight on the simulated machine: their order, their failures and what a crash leaves of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"

static void queued_writes_end_in_any_order_and_may_be_cut(void **state)
{
	unsigned first[8] = { 0 }, holes = 0, torn = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct pd_os *os = machine(seed);
		struct pd_os_file *file = stable_file(os, PATH, 8 * 4096, PD_OS_SYNCED);
		struct pd_os_completion completions[8];
		struct pd_os_queue *queue;
		uint8_t block[4096];
		bool done[8] = { false };
		const uint8_t *data;
		unsigned count;
		uint64_t size;

		memset(block, 'q', sizeof block);
		ok(pd_os_queue_new(os, 8, &queue, NULL));
		for (unsigned i = 0; i < 8; i++)
			ok(pd_os_queue_write(queue, file, block, sizeof block, i * 4096, i, NULL));
		assert_int_equal(pd_os_queue_write(queue, file, block, sizeof block, 0, 9, NULL), PD_AGAIN);
		ok(pd_os_queue_reap(queue, completions, 4, seed % 2 == 0, &count, NULL));
		assert_true(count <= 4 && (count > 0 || seed % 2 != 0));
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(completions[i].result, 0);
			done[completions[i].token] = true;
			first[completions[i].token] += i == 0;
		}
		pd_sim_power_cut(os);
		assert_int_equal(pd_os_queue_reap(queue, completions, 8, true, &count, NULL), PD_IO);
		if (seed % 4 < 2)
			pd_os_queue_free(queue);
		pd_os_close(file);
		if (seed % 4 >= 2)
			pd_os_queue_free(queue);
		data = content(os, PATH, &size);
		for (unsigned i = 0; i < 8; i++) {
			if (done[i])
				assert_true(is_all(data + i * 4096, 4096, 'q'));
			else if (!is_all(data + i * 4096, 4096, 'q') && !is_all(data + i * 4096, 4096, 'a'))
				torn++;
			holes += i > 0 && data[i * 4096] == 'q' && data[(i - 1) * 4096] == 'a';
		}
		pd_os_free(os);
	}
	for (unsigned i = 0; i < 8; i++)
		assert_true(first[i] > SEEDS / 40);
	assert_true(holes > SEEDS / 10 && torn > SEEDS / 10);
}

static void queued_writes_fail_in_their_completion(void **state)
{
	struct pd_os *os = machine(9);
	struct pd_os_file *file = stable_file(os, PATH, 0, 0);
	struct pd_os_completion completion;
	struct pd_os_queue *queue;
	unsigned failed = 0, count;

	(void)state;
	ok(pd_os_queue_new(os, 3, &queue, NULL));
	pd_sim_fail_at(os, PD_OS_OP_WRITE, 2, EIO);
	for (unsigned i = 0; i < 3; i++)
		ok(pd_os_queue_write(queue, file, "data", 4, i * 4, i, NULL));
	for (unsigned left = 3; left > 0; left -= count) {
		ok(pd_os_queue_reap(queue, &completion, 1, true, &count, NULL));
		assert_int_equal(count, 1);
		if (completion.token == 1) {
			assert_int_equal(completion.result, PD_IO);
			assert_int_equal(completion.errnum, EIO);
			failed++;
		} else {
			assert_int_equal(completion.result, 0);
		}
	}
	assert_int_equal(failed, 1);
	/* A crash while writes are in flight: the queue can still be freed. */
	ok(pd_os_queue_write(queue, file, "data", 4, 0, 4, NULL));
	pd_sim_crash_at(os, 1);
	assert_int_equal(pd_os_queue_write(queue, file, "data", 4, 4, 5, NULL), PD_IO);
	assert_int_equal(pd_os_queue_reap(queue, &completion, 1, true, &count, NULL), PD_IO);
	pd_os_queue_free(queue);
	pd_os_close(file);
	pd_sim_power_cut(os);
	pd_os_free(os);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queued_writes_end_in_any_order_and_may_be_cut),
		cmocka_unit_test(queued_writes_fail_in_their_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
