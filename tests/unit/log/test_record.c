/* Records and effects as bytes: what is built comes back, what is not well-formed is refused, nothing crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "log/group.h"
#include "log/record_private.h"

static struct pd_log_group *new_group(void)
{
	struct pd_log_group *group = pd_log_group_new();

	assert_non_null(group);
	pd_log_group_reset(group, 100);
	return group;
}

static struct pd_slice payload(const struct pd_log_group *group)
{
	return pd_slice(group->data + PD_GROUP_HEADER_SIZE, group->size - PD_GROUP_HEADER_SIZE);
}

static struct pd_record decode(const struct pd_log_group *group)
{
	struct pd_record record;
	struct pd_error err;

	if (pd_record_decode(payload(group), group->base_time_us, &record, &err) != 0)
		fail_msg("%s", err.text);
	return record;
}

/* ---- heads ---- */

static void heads_come_back(void **state)
{
	static const uint64_t numbers[] = { 0,         1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX / 2,
					    UINT64_MAX };
	static const char *const texts[] = { "", "x", "somebody",
					     "a longer text, of more than thirty-two bytes" };

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		struct pd_log_group *group = new_group();
		struct pd_record_head head = { .kind = i % 5 == 0 ? PD_RECORD_EPOCH : PD_RECORD_TRANSACTION,
					       .level = (enum pd_level)(i % PD_LEVEL_COUNT),
					       .time_us = numbers[i % 9],
					       .tenant = numbers[i / 3 % 9],
					       .actor = numbers[i / 7 % 9],
					       .client = numbers[i / 11 % 9],
					       .principal = pd_slice_string(texts[i % 4]),
					       .client_text = pd_slice_string(texts[i / 4 % 4]),
					       .request_id = pd_slice_string(texts[i / 16 % 4]),
					       .idempotency_key = pd_slice_string(texts[i / 64 % 4]) };
		struct pd_record record;

		if (head.kind == PD_RECORD_EPOCH) {
			head.old_epoch = numbers[i / 5 % 9];
			head.old_last_lsn = numbers[i / 45 % 9];
		}
		assert_int_equal(pd_log_record_begin(group, &head), 0);
		assert_int_equal(pd_log_record_commit(group), 100);
		record = decode(group);
		assert_int_equal(record.head.kind, head.kind);
		assert_int_equal(record.head.level, head.level);
		assert_true(record.head.time_us == head.time_us && record.head.tenant == head.tenant);
		assert_true(record.head.actor == head.actor && record.head.client == head.client);
		assert_true(pd_slice_equal(record.head.principal, head.principal));
		assert_true(pd_slice_equal(record.head.client_text, head.client_text));
		assert_true(pd_slice_equal(record.head.request_id, head.request_id));
		assert_true(pd_slice_equal(record.head.idempotency_key, head.idempotency_key));
		assert_true(record.head.old_epoch == head.old_epoch);
		assert_true(record.head.old_last_lsn == head.old_last_lsn);
		assert_int_equal(record.effects.size, 0);
		assert_int_equal(record.bytes.size, payload(group).size);
		pd_log_group_free(group);
	}
}

static void times_are_relative_to_the_group(void **state)
{
	struct pd_log_group *group = new_group();
	struct pd_slice rest;

	(void)state;
	for (uint64_t i = 0; i < 4; i++) {
		struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION,
					       .time_us = 5000000 + i * i * 1000 };

		assert_int_equal(pd_log_record_begin(group, &head), 0);
		assert_int_equal(pd_log_record_commit(group), 100 + i);
	}
	rest = payload(group);
	for (uint64_t i = 0; i < 4; i++) {
		struct pd_record record;

		assert_int_equal(pd_record_decode(rest, group->base_time_us, &record, NULL), 0);
		assert_int_equal(record.head.time_us, 5000000 + i * i * 1000);
		rest = pd_slice(rest.data + record.bytes.size, rest.size - record.bytes.size);
	}
	assert_int_equal(rest.size, 0);
	pd_log_group_free(group);
}

/* ---- effects ---- */

static void effects_come_back(void **state)
{
	struct pd_log_group *group = new_group();
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION, .time_us = 1, .tenant = 4, .actor = 5 };
	struct pd_slice key = pd_slice_string("key"), value = pd_slice_string("value"), none = { 0 };
	const uint8_t *entry, *second;
	struct pd_effect_walk walk;
	struct pd_effect effect;
	struct pd_record record;

	(void)state;
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	assert_int_equal(pd_log_record_put(group, 7, 0, key, value, &entry), 0);
	assert_int_equal(entry[0], PD_EFFECT_PUT);
	assert_int_equal(pd_log_record_put(group, 127, 99, none, none, &second), 0);
	assert_int_equal(pd_log_record_delete(group, key), 0);
	assert_int_equal(pd_log_record_actor(group, 300, UINT64_MAX), 0);
	assert_int_equal(pd_log_record_delete_range(group, key, none), 0);
	pd_log_record_set_level(group, PD_LEVEL_FULL);
	(void)pd_log_record_commit(group);
	assert_int_equal(group->level, PD_LEVEL_FULL);
	record = decode(group);
	assert_int_equal(record.head.level, PD_LEVEL_FULL);
	pd_effect_walk_init(&walk, &record);
	assert_int_equal(pd_effect_next(&walk, &effect), 0);
	assert_int_equal(effect.kind, PD_EFFECT_PUT);
	assert_int_equal(effect.type, 7);
	assert_int_equal(effect.expires_us, 0);
	assert_int_equal(effect.tenant, 4);
	assert_int_equal(effect.actor, 5);
	assert_true(pd_slice_equal(effect.key, key) && pd_slice_equal(effect.value, value));
	assert_int_equal(pd_effect_next(&walk, &effect), 0);
	assert_int_equal(effect.type, 127);
	assert_int_equal(effect.expires_us, 99);
	assert_int_equal(effect.key.size + effect.value.size, 0);
	assert_int_equal(pd_effect_next(&walk, &effect), 0);
	assert_int_equal(effect.kind, PD_EFFECT_DELETE);
	assert_int_equal(pd_effect_next(&walk, &effect), 0);
	assert_int_equal(effect.kind, PD_EFFECT_ACTOR);
	assert_int_equal(pd_effect_next(&walk, &effect), 0);
	assert_int_equal(effect.kind, PD_EFFECT_DELETE_RANGE);
	assert_int_equal(effect.tenant, 300);
	assert_true(effect.actor == UINT64_MAX);
	assert_int_equal(pd_effect_next(&walk, &effect), PD_END);
	assert_int_equal(pd_effect_next(&walk, &effect), PD_END);
	assert_int_equal(group->actor_count, 2);
	pd_log_group_free(group);
}

static void limits_are_kept(void **state)
{
	struct pd_log_group *group = new_group();
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION, .time_us = 1 };
	uint8_t *key = calloc(1, UINT16_MAX + 1);
	const uint8_t *entry;
	size_t before;

	(void)state;
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	before = group->size;
	assert_int_equal(
		pd_log_record_put(group, 1, 0, pd_slice(key, UINT16_MAX + 1), pd_slice(NULL, 0), &entry),
		PD_TOO_LARGE);
	assert_int_equal(pd_log_record_put(group, 1, 0, pd_slice(NULL, 0),
					   pd_slice(key, (size_t)PD_RECORD_VALUES_MAX + 1), &entry),
			 PD_TOO_LARGE);
	assert_int_equal(group->size, before);
	assert_int_equal(pd_log_record_put(group, 1, 0, pd_slice(key, UINT16_MAX), pd_slice(NULL, 0), &entry),
			 0);
	pd_memory_fail(1, 0);
	before = group->size;
	assert_int_equal(
		pd_log_record_put(group, 1, 0, pd_slice(key, UINT16_MAX), pd_slice(key, 50000), &entry),
		PD_NO_MEMORY);
	pd_memory_fail(0, 0);
	assert_int_equal(group->size, before);
	pd_log_record_abort(group);
	assert_true(pd_log_group_empty(group));
	assert_int_equal(group->size, PD_GROUP_HEADER_SIZE);
	pd_log_group_free(group);
	free(key);
}

/* What was taken back is nobody's: damage there would be taken for theirs. */
static void taken_back_names_nobody(void **state)
{
	struct pd_log_group *group = new_group();
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION, .time_us = 1, .tenant = 1, .actor = 5 };

	(void)state;
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	pd_log_record_abort(group);
	assert_int_equal(group->actor_count, 0);
	head.time_us++;
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	(void)pd_log_record_commit(group);
	head.time_us++;
	head.actor = 6;
	assert_int_equal(pd_log_record_begin(group, &head), 0);
	assert_int_equal(pd_log_record_actor(group, 1, 7), 0);
	assert_int_equal(group->actor_count, 3);
	pd_log_record_abort(group);
	assert_int_equal(group->actor_count, 1);
	assert_int_equal(group->actors[0], 5);
	pd_log_group_free(group);
}

/* ---- what nobody wrote ---- */

static void set(uint8_t *record, size_t at, uint8_t byte)
{
	record[at] = byte;
}

static void what_is_not_well_formed_is_refused(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t byte;
		int result;
	} cases[] = {
		{ "length too short", 4, 13, PD_CORRUPT },
		{ "length too long", 4, 200, PD_CORRUPT },
		{ "kind 0", 8, 0, PD_CORRUPT },
		{ "kind 3", 8, 3, PD_CORRUPT },
		{ "level 7", 9, 7, PD_CORRUPT },
		{ "compressed", 9, PD_RECORD_FLAG_COMPRESSED, PD_NEWER_FORMAT },
		{ "encrypted", 9, PD_RECORD_FLAG_ENCRYPTED, PD_NEWER_FORMAT },
		{ "unknown flag", 9, 0x80, PD_NEWER_FORMAT },
		{ "extensions where there are none", 9, PD_RECORD_FLAG_EXTENSIONS, PD_CORRUPT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		/* Varints 1 to 4, then no effects. */
		uint8_t bytes[14] = { 0, 0, 0, 0, 14, 0, 0, 0, 1, 4, 1, 2, 3, 4 };
		struct pd_record record;

		assert_int_equal(pd_record_decode(pd_slice(bytes, sizeof bytes), 0, &record, NULL), 0);
		set(bytes, cases[i].at, cases[i].byte);
		if (pd_record_decode(pd_slice(bytes, sizeof bytes), 0, &record, NULL) != cases[i].result)
			fail_msg("%s", cases[i].what);
	}
}

/* Anything at all: no crash, and whatever is accepted lies inside. In memory of its exact size, for the sanitizer. */
static void random_bytes_do_no_harm(void **state)
{
	uint64_t seed = 4711;

	(void)state;
	for (unsigned i = 0; i < 300000; i++) {
		size_t size = i % 97;
		uint8_t *bytes = malloc(size > 0 ? size : 1);
		struct pd_effect_walk walk;
		struct pd_effect effect;
		struct pd_record record;

		for (size_t at = 0; at < size; at++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bytes[at] = (uint8_t)(seed >> 56) & (i % 3 == 0 ? 0x0f : 0xff);
		}
		if (size >= 14 && i % 2 == 0) {
			pd_store_u32(bytes + 4, (uint32_t)(size - i % 5 % (size - 13)));
			bytes[8] = 1 + i % 2;
			bytes[9] &= 0x0f;
		}
		if (pd_record_decode(pd_slice(bytes, size), 1000, &record, NULL) == 0) {
			assert_true(record.bytes.size <= size && record.effects.size <= record.bytes.size);
			pd_effect_walk_init(&walk, &record);
			while (pd_effect_next(&walk, &effect) == 0)
				assert_true(effect.value.data + effect.value.size <= bytes + size);
		}
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads_come_back),
		cmocka_unit_test(times_are_relative_to_the_group),
		cmocka_unit_test(effects_come_back),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(taken_back_names_nobody),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(random_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
