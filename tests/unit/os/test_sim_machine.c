/* The simulated machine beside its crashes: a disk at rest, time, determinism, memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "machine.h"

static void damage_at_rest_is_seen_and_stays(void **state)
{
	struct pd_os *os = machine(11);
	struct pd_os_file *file = stable_file(os, PATH, 10000, 0);
	uint64_t size;

	(void)state;
	fill(file, 'b', 512, 512); /* dirty: the damage goes to every version */
	ok(pd_sim_flip_bit(os, PATH, 700, 3));
	ok(pd_sim_damage(os, PATH, 4090, "rotten", 6));
	assert_int_equal(content(os, PATH, &size)[700], 'b' ^ 8);
	assert_int_equal(pd_sim_flip_bit(os, PATH, 10000, 0), PD_INVALID);
	assert_int_equal(pd_sim_damage(os, PATH, 9999, "xx", 2), PD_INVALID);
	assert_int_equal(pd_sim_damage(os, "/none", 0, "x", 1), PD_NOT_FOUND);
	cut(os, file);
	assert_true(content(os, PATH, &size)[700] == ('b' ^ 8));
	assert_memory_equal(content(os, PATH, &size) + 4090, "rotten", 6);
	assert_int_equal(content(os, PATH, &size)[4089], 'a');
	assert_int_equal(content(os, PATH, &size)[4096], 'a');
	assert_int_equal(pd_sim_content(os, "/none", NULL, NULL), PD_NOT_FOUND);
	pd_os_free(os);
}

static void time_passes_when_told(void **state)
{
	struct pd_os *os = machine(12);
	uint64_t real = pd_os_real_us(os), monotonic = pd_os_monotonic_ns(os);

	(void)state;
	assert_in_range(real, 1767225600000000U, 1798761600000000U); /* 2026 */
	pd_sim_advance_us(os, 1500);
	pd_os_sleep_us(os, 500);
	assert_int_equal(pd_os_real_us(os), real + 2000);
	assert_int_equal(pd_os_monotonic_ns(os), monotonic + 2000000);
	pd_sim_jump_real_us(os, -1000000);
	assert_int_equal(pd_os_real_us(os), real + 2000 - 1000000);
	assert_int_equal(pd_os_monotonic_ns(os), monotonic + 2000000);
	pd_os_free(os);
}

static void memory_is_what_the_options_say(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os = machine_with(&options);

	(void)state;
	assert_int_equal(pd_os_machine_memory(os), 1 << 30);
	assert_int_equal(pd_os_process_memory(os), 0);
	options.memory_bytes = 12345;
	pd_sim_set_options(os, &options);
	assert_int_equal(pd_os_machine_memory(os), 12345);
	pd_os_free(os);
}

/* A busy life with faults and crashes, all drawn from the seed. */
static uint64_t trace_of_life(uint64_t seed, uint8_t ret_key[16])
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;
	uint64_t trace;

	options.seed = seed;
	options.write_error_ppm = options.sync_error_ppm = options.read_error_ppm = 50000;
	options.lost_write_ppm = options.misdirected_write_ppm = 50000;
	os = machine_with(&options);
	for (unsigned life = 0; life < 5; life++) {
		struct pd_os_file *file = open_at(os, PATH, READ_WRITE_CREATE);

		for (unsigned i = 0; i < 40; i++) {
			uint8_t bytes[1024];
			size_t got;

			pd_os_random(os, bytes, sizeof bytes);
			(void)!pd_os_write(file, bytes, 1 + bytes[0] * 4U, bytes[1] * 16U, NULL);
			if (bytes[2] % 8 == 0)
				(void)!pd_os_datasync(file, NULL);
			if (bytes[2] % 8 == 1)
				(void)!pd_os_sync_directory(os, "/", NULL);
			(void)!pd_os_read(file, bytes, sizeof bytes, 0, &got, NULL);
		}
		pd_sim_power_cut(os);
		pd_os_close(file);
	}
	pd_os_random(os, ret_key, 16);
	trace = pd_sim_trace_hash(os);
	pd_os_free(os);
	return trace;
}

static void one_seed_one_life(void **state)
{
	uint64_t previous = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		uint8_t a[16], b[16];
		uint64_t trace = trace_of_life(seed, a);

		assert_true(trace == trace_of_life(seed, b));
		assert_memory_equal(a, b, sizeof a);
		assert_true(trace != previous);
		previous = trace;
	}
}

/* Bytes and names against a plain model, as long as the power stays on. */
static void a_machine_with_power_is_a_plain_disk(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		static uint8_t model[40000];
		struct pd_os_file *file, *synced;
		uint64_t model_size = 0, size;
		unsigned roll = (unsigned)seed * 7919 + 1;
		struct pd_os *os;

		memset(model, 0, sizeof model);
		options.seed = seed;
		options.torn_unit = seed % 2 ? 512 : 4096;
		os = machine_with(&options);
		file = open_at(os, PATH, READ_WRITE_CREATE);
		synced = open_at(os, PATH, READ_WRITE_CREATE | PD_OS_SYNCED);
		for (unsigned step = 0; step < 300; step++) {
			uint64_t at;
			size_t length;

			roll = roll * 1664525 + 1013904223;
			at = roll % 30000;
			length = (roll >> 16) % 9000;
			switch (roll >> 28) {
			case 0:
				ok(pd_os_datasync(file, NULL));
				break;
			case 1:
				ok(pd_os_resize(file, at, NULL));
				if (at < model_size)
					memset(model + at, 0, (size_t)(model_size - at));
				model_size = at;
				break;
			case 2:
				ok(pd_os_allocate(file, at, NULL));
				model_size = at > model_size ? at : model_size;
				break;
			case 3:
				pd_sim_process_crash(os);
				pd_os_close(file);
				pd_os_close(synced);
				file = open_at(os, PATH, READ_WRITE_CREATE);
				synced = open_at(os, PATH, READ_WRITE_CREATE | PD_OS_SYNCED);
				break;
			default:
				if (length == 0)
					break;
				fill(roll >> 31 ? file : synced, (char)step, length, at);
				memset(model + at, (char)step, length);
				model_size = at + length > model_size ? at + length : model_size;
			}
			assert_memory_equal(content(os, PATH, &size), model, (size_t)model_size);
			assert_int_equal(size, model_size);
		}
		ok(pd_os_datasync(file, NULL));
		ok(pd_os_sync_directory(os, "/", NULL));
		pd_sim_power_cut(os);
		assert_memory_equal(content(os, PATH, &size), model, (size_t)model_size);
		assert_int_equal(size, model_size);
		pd_os_close(file);
		pd_os_close(synced);
		pd_os_free(os);
	}
}

static void allocations_that_fail_are_reported(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (unsigned long n = 1; n < 60; n++) {
		struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
		struct pd_os *os = NULL;
		int rc;

		pd_memory_fail(n, 0);
		rc = pd_os_sim_new(&options, &os, NULL);
		if (rc == 0)
			rc = little_story(os);
		pd_memory_fail(0, 0);
		assert_true(rc == 0 || rc == PD_NO_MEMORY);
		failures += rc != 0;
		if (os != NULL)
			pd_sim_power_cut(os);
		pd_os_free(os);
	}
	assert_in_range(failures, 5, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damage_at_rest_is_seen_and_stays),
		cmocka_unit_test(time_passes_when_told),
		cmocka_unit_test(memory_is_what_the_options_say),
		cmocka_unit_test(one_seed_one_life),
		cmocka_unit_test(a_machine_with_power_is_a_plain_disk),
		cmocka_unit_test(allocations_that_fail_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
