/* Machines that are made what others are, and power cuts of which a number says what they leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "machine.h"

#define CHANCES    40
#define IMAGES_MAX 64

/* Different disks, in the order in which they were met. */
struct images {
	uint64_t hashes[IMAGES_MAX];
	unsigned count;
};

static void note(struct images *images, uint64_t hash)
{
	for (unsigned i = 0; i < images->count; i++)
		if (images->hashes[i] == hash)
			return;
	assert_true(images->count < IMAGES_MAX);
	images->hashes[images->count++] = hash;
}

/* A machine that died in its little story's nth operation, after it was through once before. */
static struct pd_os *dead_machine(uint64_t seed, uint64_t n)
{
	struct pd_os *os = machine(seed);
	struct pd_os_file *file = open_at(os, "/other", READ_WRITE_CREATE);

	fill(file, 'o', 3 * SECTOR, 0);
	ok(pd_os_resize(file, SECTOR, NULL));
	pd_os_close(file);
	pd_sim_crash_at(os, n);
	(void)little_story(os);
	return os;
}

/* A copy has the same future, whatever it was before, and its future is its own. */
static void a_copy_is_the_same_machine(void **state)
{
	struct pd_os *copy = machine(99);

	(void)state;
	(void)little_story(copy);
	for (uint64_t n = 1; n <= 7; n++)
		for (uint64_t chance = 0; chance < CHANCES; chance++) {
			struct pd_os *os = dead_machine(3, n);
			uint64_t before, image;

			ok(pd_sim_copy(copy, os));
			assert_int_equal(pd_sim_trace_hash(copy), pd_sim_trace_hash(os));
			assert_int_equal(pd_sim_image_hash(copy), pd_sim_image_hash(os));
			pd_sim_set_chance(copy, chance, PD_SIM_SURVIVES_BY_CHANCE);
			before = pd_sim_image_hash(os);
			pd_sim_power_cut(copy);
			assert_int_equal(pd_sim_image_hash(os), before);
			pd_sim_set_chance(os, chance, PD_SIM_SURVIVES_BY_CHANCE);
			pd_sim_power_cut(os);
			image = pd_sim_image_hash(os);
			assert_int_equal(pd_sim_image_hash(copy), image);
			(void)little_story(os);
			assert_int_equal(pd_sim_image_hash(copy), image);
			(void)little_story(copy);
			assert_int_equal(pd_sim_trace_hash(copy), pd_sim_trace_hash(os));
			pd_os_free(os);
		}
	pd_os_free(copy);
}

/* A copy of a full disk is full, and what is freed on it is free. */
static void a_copy_has_as_much_room(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os, *copy = machine(7);
	struct pd_os_file *file;
	uint64_t bytes;

	(void)state;
	options.disk_bytes = 8 * 4096;
	os = machine_with(&options);
	file = open_at(os, PATH, READ_WRITE_CREATE);
	ok(pd_os_allocate(file, 3 * 4096, NULL));
	fill(file, 'x', 4 * 4096, 0);
	pd_os_close(file);
	ok(pd_sim_copy(copy, os));
	ok(pd_os_disk_free(copy, "/", &bytes, NULL));
	assert_int_equal(bytes, 4 * 4096);
	ok(pd_os_unlink(copy, PATH, NULL));
	ok(pd_os_disk_free(copy, "/", &bytes, NULL));
	assert_int_equal(bytes, 8 * 4096);
	pd_os_free(copy);
	pd_os_free(os);
}

/* What a machine has at hand for sectors of 512 bytes is of no use for drives that write 4096 as a whole. */
static void a_copy_has_the_same_drive(void **state)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os, *copy = dead_machine(3, 3);
	struct pd_os_file *file;

	(void)state;
	pd_sim_power_cut(copy);
	options.direct_alignment = options.torn_unit = 4096;
	os = machine_with(&options);
	file = stable_file(os, PATH, 2 * 4096, 0);
	fill(file, 'b', 2 * 4096, 0);
	pd_os_close(file);
	for (unsigned chance = 0; chance < CHANCES; chance++) {
		const uint8_t *data;
		uint64_t size;

		ok(pd_sim_copy(copy, os));
		pd_sim_set_chance(copy, chance, PD_SIM_SURVIVES_BY_CHANCE);
		pd_sim_power_cut(copy);
		data = content(copy, PATH, &size);
		for (unsigned block = 0; block < 2; block++)
			assert_true(is_all(data + (size_t)block * 4096, 4096, data[(size_t)block * 4096]));
	}
	pd_os_free(copy);
	pd_os_free(os);
}

/* All that a machine's power cut can leave, by number. Returns how many numbers there were. */
static uint64_t enumerate(struct pd_os *os, struct images *ret_images)
{
	struct pd_os *copy = machine(1);
	uint64_t combinations = 1;

	*ret_images = (struct images){ 0 };
	for (uint64_t number = 0; number < combinations; number++) {
		assert_true(number < 4096);
		ok(pd_sim_copy(copy, os));
		pd_sim_set_chance(copy, number, PD_SIM_SURVIVES_BY_NUMBER);
		pd_sim_power_cut(copy);
		if (pd_sim_combinations(copy) > combinations)
			combinations = pd_sim_combinations(copy);
		note(ret_images, pd_sim_image_hash(copy));
	}
	pd_os_free(copy);
	return combinations;
}

/* Sectors survive each on its own, and nothing but the sectors that were written does. */
static void numbers_are_all_that_can_be_left(void **state)
{
	struct pd_os *os = machine(5);
	struct pd_os_file *file = stable_file(os, PATH, 4 * SECTOR, 0);
	struct images images;

	(void)state;
	pd_os_close(file);
	assert_int_equal(enumerate(os, &images), 1);
	assert_int_equal(images.count, 1);
	file = open_at(os, PATH, READ_WRITE_CREATE);
	fill(file, 'b', 3 * SECTOR, SECTOR);
	pd_os_close(file);
	assert_int_equal(enumerate(os, &images), 8);
	assert_int_equal(images.count, 8);
	/* A second version of one of them. */
	file = open_at(os, PATH, READ_WRITE_CREATE);
	fill(file, 'c', SECTOR, SECTOR);
	pd_os_close(file);
	assert_int_equal(enumerate(os, &images), 12);
	assert_int_equal(images.count, 12);
	pd_os_free(os);
}

/* A name that is not stable, and another that takes its place. */
static void names_are_choices_that_make_sense(void **state)
{
	struct pd_os *os = machine(5);
	struct pd_os_file *file = open_at(os, PATH, READ_WRITE_CREATE);
	struct images images;

	(void)state;
	ok(pd_os_datasync(file, NULL));
	pd_os_close(file);
	assert_int_equal(enumerate(os, &images), 2);
	assert_int_equal(images.count, 2);
	/* Renamed it can be only where it is. */
	ok(pd_os_rename(os, PATH, "/g", NULL));
	assert_int_equal(enumerate(os, &images), 4);
	assert_int_equal(images.count, 3);
	pd_os_free(os);
}

/* Of a write that the process died in, each sector may be there: but not before the crash is decided. */
static void a_write_that_is_cut_is_undecided(void **state)
{
	struct pd_os *os = machine(5);
	struct pd_os_file *file = stable_file(os, PATH, 4 * SECTOR, PD_OS_SYNCED);
	uint8_t *data = pd_malloc_aligned(4096, 3 * SECTOR);
	struct images images;
	uint64_t size;

	(void)state;
	memset(data, 'z', 3 * SECTOR);
	pd_sim_crash_at(os, 1);
	assert_int_equal(pd_os_write(file, data, 3 * SECTOR, 0, NULL), PD_IO);
	pd_os_close(file);
	assert_true(is_all(content(os, PATH, &size), 4 * SECTOR, 'a'));
	assert_int_equal(enumerate(os, &images), 8);
	assert_int_equal(images.count, 8);
	pd_sim_set_chance(os, 0, PD_SIM_SURVIVES_ALL);
	pd_sim_power_cut(os);
	assert_true(is_all(content(os, PATH, &size), 3 * SECTOR, 'z'));
	pd_free(data);
	pd_os_free(os);
}

/* What a lock file says is nobody's data. */
static void a_lock_is_no_part_of_an_image(void **state)
{
	struct pd_os *os = machine(5);
	struct pd_os_lock *lock;
	uint64_t image;

	(void)state;
	ok(pd_os_lock(os, "/LOCK", &lock, NULL));
	image = pd_sim_image_hash(os);
	pd_os_unlock(lock);
	pd_sim_process_crash(os);
	ok(pd_os_lock(os, "/LOCK", &lock, NULL));
	assert_int_equal(pd_sim_image_hash(os), image);
	pd_os_unlock(lock);
	pd_os_free(os);
}

/* The shape of what is done is where and how much, not what. */
static void a_shape_knows_no_bytes(void **state)
{
	struct pd_os *one = machine(5), *other = machine(5);
	struct pd_os_file *file = open_at(one, PATH, READ_WRITE_CREATE);
	uint8_t effects[3], byte;
	size_t size;

	(void)state;
	pd_sim_note_effects(one, effects, sizeof effects);
	fill(file, 'a', SECTOR, 0);
	ok(pd_os_read(file, &byte, 1, 0, &size, NULL));
	ok(pd_os_datasync(file, NULL));
	pd_os_close(file);
	assert_int_equal(effects[0], 1);
	assert_int_equal(effects[1], 0);
	assert_int_equal(effects[2], 1);
	file = open_at(other, PATH, READ_WRITE_CREATE);
	fill(file, 'b', SECTOR, 0);
	ok(pd_os_datasync(file, NULL));
	assert_int_equal(pd_sim_shape(one), pd_sim_shape(other));
	fill(file, 'b', 1, 0);
	assert_int_not_equal(pd_sim_shape(one), pd_sim_shape(other));
	pd_os_close(file);
	pd_os_free(one);
	pd_os_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_is_the_same_machine),
		cmocka_unit_test(a_copy_has_as_much_room),
		cmocka_unit_test(a_copy_has_the_same_drive),
		cmocka_unit_test(numbers_are_all_that_can_be_left),
		cmocka_unit_test(names_are_choices_that_make_sense),
		cmocka_unit_test(a_write_that_is_cut_is_undecided),
		cmocka_unit_test(a_lock_is_no_part_of_an_image),
		cmocka_unit_test(a_shape_knows_no_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
