/* Diffs against what both states say when all of them is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "history/diff.h"
#include "history/moment.h"
#include "model/kv/kv.h"
#include "model/txn.h"
#include "world.h"

#define KEYS_MAX 400

/* All that one state has, in order. */
struct all {
	struct pd_buffer bytes;
	struct {
		size_t key, key_size, value, value_size;
		uint8_t type;
		uint64_t expires_us;
	} items[KEYS_MAX];
	size_t count;
};

static void read_all(struct pd_past *past, struct all *all)
{
	struct pd_past_cursor cursor;
	struct pd_buffer string;
	struct pd_entry entry;
	struct pd_error err;

	pd_buffer_init(&all->bytes, SIZE_MAX / 2);
	pd_buffer_init(&string, SIZE_MAX / 2);
	all->count = 0;
	pd_past_seek(past, pd_slice("f", 1), pd_slice("l", 1), &cursor);
	while (pd_past_next(&cursor, &entry, &err) == 1) {
		uint8_t type = entry.type == PD_TYPE_LARGE ? PD_TYPE_STRING : entry.type;

		assert_true(all->count < KEYS_MAX);
		all->items[all->count].key = all->bytes.size;
		all->items[all->count].key_size = entry.key.size;
		assert_int_equal(pd_buffer_append_slice(&all->bytes, entry.key), 0);
		all->items[all->count].type = type;
		all->items[all->count].expires_us = entry.expires_us;
		pd_buffer_clear(&string);
		if (type != PD_TYPE_HASH)
			assert_int_equal(pd_past_string(past, &entry, UINT64_MAX, &string, &err), 0);
		all->items[all->count].value = all->bytes.size;
		all->items[all->count].value_size = string.size;
		assert_int_equal(pd_buffer_append_slice(&all->bytes, pd_buffer_slice(&string)), 0);
		all->count++;
	}
	pd_buffer_done(&string);
}

static struct pd_slice key_of(const struct all *all, size_t n)
{
	return pd_slice(all->bytes.data + all->items[n].key, all->items[n].key_size);
}

static bool same(const struct all *a, size_t i, const struct all *b, size_t j)
{
	return a->items[i].type == b->items[j].type && a->items[i].expires_us == b->items[j].expires_us &&
	       pd_slice_equal(pd_slice(a->bytes.data + a->items[i].value, a->items[i].value_size),
			      pd_slice(b->bytes.data + b->items[j].value, b->items[j].value_size));
}

static void expect(struct pd_diff *diff, struct pd_slice key, bool had, bool has)
{
	struct pd_diff_change change;
	struct pd_error err;

	if (pd_diff_next(diff, &change, &err) != 1)
		fail_msg("%.*s is missing", (int)key.size, (const char *)key.data);
	assert_true(pd_slice_equal(change.key, key));
	assert_int_equal(change.had, had);
	assert_int_equal(change.has, has);
}

/* Returns how many changes there are. */
static unsigned check_pair(struct pd_history *history, uint64_t actor, const struct pd_moment *from,
			   const struct pd_moment *to)
{
	static struct all before, after;
	struct pd_slice none = { 0 };
	struct pd_diff *diff;
	struct pd_diff_change change;
	struct pd_error err;
	size_t i = 0, j = 0;
	unsigned changes = 0;

	if (pd_diff_new(history, actor, actor, from, to, none, &diff, &err) != 0)
		fail_msg("%s", err.text);
	read_all(pd_diff_before(diff), &before);
	read_all(pd_diff_after(diff), &after);
	while (i < before.count || j < after.count) {
		int order = i == before.count  ? 1
			    : j == after.count ? -1
					       : pd_slice_compare(key_of(&before, i), key_of(&after, j));

		if (order != 0 || !same(&before, i, &after, j)) {
			expect(diff, order > 0 ? key_of(&after, j) : key_of(&before, i), order <= 0,
			       order >= 0);
			changes++;
		}
		i += order <= 0;
		j += order >= 0;
	}
	assert_int_equal(pd_diff_next(diff, &change, &err), 0);
	pd_buffer_done(&before.bytes);
	pd_buffer_done(&after.bytes);
	pd_diff_free(diff);
	return changes;
}

static struct pd_moment at_lsn(struct pd_history *history, uint64_t lsn)
{
	struct pd_moment_name name = { .kind = PD_MOMENT_LSN, .lsn = lsn };
	struct pd_moment moment;
	struct pd_error err;

	if (pd_moment_resolve(history, &name, PD_REACH_STATE, &moment, &err) != 0)
		fail_msg("%s", err.text);
	return moment;
}

static void test_random_pairs(void **state)
{
	static struct world world;
	unsigned changes = 0;

	(void)state;
	for (uint64_t seed = 501; seed <= 502; seed++) {
		struct pd_history *history;

		world_init(&world, seed);
		world.expiring = true;
		world_open(&world);
		while (world.last_lsn < 1200) {
			world_act(&world);
			if (world_random(&world, 300) == 0)
				world_restart(&world);
			if (world_random(&world, 200) == 0)
				world_checkpoint(&world);
		}
		world_settle(&world);
		history = world_history(&world);
		for (unsigned i = 0; i < 60; i++) {
			uint64_t first = world_random(&world, world.last_lsn - 1);
			uint64_t width = i % 3 == 0 ? 400 : 20;
			uint64_t last = first + 1 + world_random(&world, width);
			struct pd_moment from = at_lsn(history, first), to;
			uint64_t actor = world.ids[world_random(&world, WORLD_ACTORS)];

			to = at_lsn(history, last < world.last_lsn ? last : world.last_lsn);
			to.time_us += world_random(&world, 2) * 1000000;
			if (actor != 0)
				changes += check_pair(history, actor, &from, &to);
		}
		pd_history_close(history);
		world_done(&world);
	}
	assert_true(changes > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_pairs) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
