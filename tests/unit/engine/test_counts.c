/* The proof that counters are right must fail where one of them is wrong, and say which; and large strings likewise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/actor.h"
#include "engine/engine_private.h"
#include "host.h"
#include "model/kv/kv.h"

static void init(struct host *host)
{
	host_init(host);
	host->options.large_min = 16;
	host->options.chunk_size = 8;
	host_open(host);
	host_durable(host, "mset {a}k 1 {a}l 2 {b}k 3");
	host_durable(host, "set {a}soon 4 px 100000");
	host_durable(host, "hset {a}h f 1 g 2");
	host_durable(host, "set {a}large 0123456789abcdefghijklmnopqrstuvwxyz");
	assert_int_equal(pd_engine_check_counts(host->engine, &host->err), 0);
	assert_int_equal(pd_engine_check_large(host->engine, &host->err), 0);
}

static struct pd_actor *find(struct host *host, const char *name)
{
	struct pd_actor *actor = pd_engine_find_actor(host->engine, host->session, pd_slice_string(name));

	assert_non_null(actor);
	return actor;
}

static void expect_wrong(struct host *host, const char *words)
{
	host->err.text[0] = '\0';
	assert_int_equal(pd_engine_check_counts(host->engine, &host->err), PD_CORRUPT);
	if (strstr(host->err.text, words) == NULL)
		fail_msg("'%s' is not in: %s", words, host->err.text);
}

/* Past the engine. */
static void put_value(struct host *host, struct pd_store_actor *state, uint8_t type, struct pd_slice key,
		      struct pd_slice value)
{
	uint8_t entry[100] = { PD_EFFECT_PUT, type };

	pd_store_u16(entry + 2, (uint16_t)key.size);
	pd_store_u32(entry + 4, (uint32_t)value.size);
	memcpy(entry + PD_ENTRY_HEADER_SIZE, key.data, key.size);
	memcpy(entry + PD_ENTRY_HEADER_SIZE + key.size, value.data, value.size);
	pd_store_begin(host->engine->store);
	assert_true(pd_store_put(host->engine->store, state, entry, host_lsn(host), NULL, &host->err) >= 0);
	pd_store_commit(host->engine->store);
}

/* ---- counters ---- */

static void test_actor(void **state)
{
	struct pd_store_actor *actor;
	struct host host;

	(void)state;
	init(&host);
	actor = find(&host, "a")->state;
	actor->key_count++;
	expect_wrong(&host, "has 5 keys, and is believed to have 6");
	actor->key_count--;
	actor->expiring_count++;
	expect_wrong(&host, "has 1 keys that expire, and is believed to have 2");
	actor->expiring_count--;
	actor->byte_count--;
	expect_wrong(&host, "bytes, and is believed to have");
	/* More is no lie where it is known as the most only; less is. */
	actor->bytes_known = PD_BYTES_AT_MOST;
	expect_wrong(&host, "bytes, and is believed to have");
	actor->byte_count += 2;
	expect_wrong(&host, "all actors have"); /* but the sum is known */
	actor->byte_count--;
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	actor->bytes_known = PD_BYTES_EXACT;
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	host_done(&host);
}

/* What is noted of relations is what there is. */
static void test_relations(void **state)
{
	static const char *const wrong[] = { "relations to others", "relations from others" };
	uint8_t key[] = { PD_SPACE_RELATION };

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct pd_entry entry;
		struct host host;
		char value[8] = "";

		init(&host);
		host_durable(&host, "PD.ACTOR RELATE a b");
		assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
		pd_store_begin(host.engine->store);
		assert_int_equal(pd_store_get(host.engine->store, find(&host, way == 0 ? "a" : "b")->state,
					      pd_slice(key, 1), &entry, &host.err),
				 1);
		assert_int_equal(entry.value.size, 2);
		memcpy(value, entry.value.data, 2);
		pd_store_commit(host.engine->store);
		/* One more that goes there, or one more that comes from there. */
		value[way]++;
		put_value(&host, find(&host, way == 0 ? "a" : "b")->state, PD_TYPE_RELATIONS,
			  pd_slice(key, 1), pd_slice(value, 2));
		expect_wrong(&host, wrong[way]);
		host_done(&host);
	}
}

/* Who is quarantined has lost something: what is counted of it proves nothing. */
static void test_quarantined(void **state)
{
	struct pd_actor *actor;
	struct host host;
	char key[1 + 1] = { PD_SPACE_KEY, 'k' };

	(void)state;
	init(&host);
	actor = find(&host, "b");
	pd_store_begin(host.engine->store);
	assert_int_equal(pd_store_delete(host.engine->store, actor->state, pd_slice(key, 2), host_lsn(&host),
					 &host.err),
			 1);
	pd_store_commit(host.engine->store);
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	actor->state->expiring_count++;
	expect_wrong(&host, "keys that expire");
	assert_int_equal(pd_note_quarantine(host.engine, actor, 1, 1, &host.err), 0);
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	host_done(&host);
}

static void test_tenant(void **state)
{
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 100 } };
	struct pd_quota *quota;
	struct host host;

	(void)state;
	init(&host);
	assert_int_equal(pd_engine_change_profile(host.engine, host.session, true, pd_slice(NULL, 0), &change,
						  &host.receipt, &host.err),
			 0);
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	quota = host.engine->directory.tenants[0]->quota;
	quota->key_count++;
	expect_wrong(&host, "the actors of tenant");
	quota->key_count--;
	quota->byte_count--;
	expect_wrong(&host, "the actors of tenant");
	quota->byte_count++;
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	host_done(&host);
}

/* ---- large strings ---- */

static struct pd_blob blob_of(struct host *host, struct pd_store_actor *state)
{
	struct pd_entry entry;
	struct pd_blob blob;

	pd_store_begin(host->engine->store);
	assert_int_equal(
		pd_store_get(host->engine->store, state, pd_slice_string("klarge"), &entry, &host->err), 1);
	blob = pd_kv_blob(&entry);
	pd_store_commit(host->engine->store);
	return blob;
}

static void delete_raw(struct host *host, struct pd_store_actor *state, struct pd_slice key)
{
	pd_store_begin(host->engine->store);
	assert_int_equal(pd_store_delete(host->engine->store, state, key, host_lsn(host), &host->err), 1);
	pd_store_commit(host->engine->store);
}

static struct pd_slice chunk_key(uint8_t key[PD_CHUNK_KEY_SIZE], uint64_t blob, uint32_t number)
{
	(void)pd_blob_key(key, blob);
	pd_store_be32(key + PD_BLOB_KEY_SIZE, number);
	return pd_slice(key, PD_CHUNK_KEY_SIZE);
}

static void put_raw(struct host *host, struct pd_store_actor *state, uint8_t type, struct pd_slice key,
		    const char *value)
{
	put_value(host, state, type, key, pd_slice_string(value));
}

enum fault {
	LACKS_A_CHUNK,
	SHORT_CHUNK,
	SHORT_LAST_CHUNK,
	CHUNK_BEHIND,
	NO_HEAD,
	NO_BLOB,
	TWO_HEADS,
	NOTE_OF_ONE_WITH_A_HEAD,
	FAULTS,
};

static const char *const faults[FAULTS] = {
	[LACKS_A_CHUNK] = "has chunks that make no sense",
	[SHORT_CHUNK] = "has chunks that make no sense",
	[SHORT_LAST_CHUNK] = "has not the size that its head says",
	[CHUNK_BEHIND] = "has chunks that make no sense",
	[NO_HEAD] = "has no head",
	[NO_BLOB] = "has no head",
	[TWO_HEADS] = "has two heads",
	[NOTE_OF_ONE_WITH_A_HEAD] = "is to be removed, and a head names it",
};

static void make_fault(struct host *host, enum fault fault)
{
	struct pd_store_actor *actor = find(host, "a")->state;
	struct pd_blob blob = blob_of(host, actor);
	uint8_t key[PD_CHUNK_KEY_SIZE], head[PD_KV_HEAD_SIZE_MAX + 1] = { 0 };
	struct pd_pin *pin;

	switch (fault) {
	case LACKS_A_CHUNK:
		delete_raw(host, actor, chunk_key(key, blob.number, 2));
		break;
	case SHORT_CHUNK:
		put_raw(host, actor, PD_TYPE_CHUNK, chunk_key(key, blob.number, 1), "short");
		break;
	case SHORT_LAST_CHUNK:
		put_raw(host, actor, PD_TYPE_CHUNK, chunk_key(key, blob.number, 4), "wxy");
		break;
	case CHUNK_BEHIND:
		put_raw(host, actor, PD_TYPE_CHUNK, chunk_key(key, blob.number, 100), "12345678");
		break;
	case NO_HEAD:
		delete_raw(host, actor, pd_slice_string("klarge"));
		break;
	case NO_BLOB:
		put_raw(host, actor, PD_TYPE_CHUNK, chunk_key(key, blob.number + 7, 0), "12345678");
		break;
	case TWO_HEADS:
		(void)pd_kv_blob_head(&blob, head);
		put_raw(host, actor, PD_TYPE_LARGE, pd_slice_string("kother"), (const char *)head);
		break;
	case NOTE_OF_ONE_WITH_A_HEAD:
		pin = pd_blob_pin(host->engine, actor->id, blob.number);
		assert_non_null(pin);
		pin->left_over = true;
		break;
	case FAULTS:
		break;
	}
}

static void test_large(void **state)
{
	(void)state;
	for (enum fault fault = 0; fault < FAULTS; fault++) {
		struct host host;

		init(&host);
		make_fault(&host, fault);
		assert_int_equal(pd_engine_check_large(host.engine, &host.err), PD_CORRUPT);
		if (strstr(host.err.text, faults[fault]) == NULL)
			fail_msg("'%s' is not in: %s", faults[fault], host.err.text);
		host_done(&host);
	}
}

/* No memory for the list of them is no proof of anything. */
static void test_no_memory_for_large(void **state)
{
	struct host host;

	(void)state;
	init(&host);
	pd_memory_fail(1, 0);
	assert_int_equal(pd_engine_check_large(host.engine, &host.err), PD_NO_MEMORY);
	assert_int_equal(pd_memory_fail_left(), 0);
	pd_memory_fail(0, 0);
	assert_non_null(strstr(host.err.text, "out of memory"));
	assert_int_equal(pd_engine_check_large(host.engine, &host.err), 0);
	host_done(&host);
}

/* ---- what cannot be read ---- */

static void checkpoint(struct host *host)
{
	struct pd_upkeep_status status;

	assert_int_equal(pd_engine_upkeep_start(host->engine, PD_UPKEEP_CHECKPOINT, &host->err), 0);
	do {
		host_advance_ms(host, 200);
		assert_int_equal(pd_engine_step(host->engine), 0);
		pd_engine_upkeep_status(host->engine, &status);
	} while (status.running);
	assert_int_equal(status.result, 0);
}

/* Neither says that all is well, nor that a counter is wrong. */
static void test_damage(void **state)
{
	/* In the middle of many chunks, and in a field. */
	static const char *const rotten[] = { "rotsrots", "this-is-what-rots" };
	char command[6200];
	int size;

	(void)state;
	for (unsigned way = 0; way < 2; way++) {
		struct host host;

		init(&host);
		size = snprintf(command, sizeof command, "set {a}m ");
		memset(command + size, 'q', 6000);
		memcpy(command + size + 3000, "rotsrots", 8);
		command[size + 6000] = '\0';
		host_durable(&host, command);
		for (unsigned i = 0; i < 8; i++) {
			size = snprintf(command, sizeof command, "hset {a}h f%u %s", i,
					i == 3 ? "this-is-what-rots" : "x");
			memset(command + size, 'v', 3000);
			command[size + 3000] = '\0';
			host_durable(&host, command);
		}
		checkpoint(&host);
		assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
		assert_int_equal(pd_engine_check_large(host.engine, &host.err), 0);
		host_crash(&host, true);
		host_rot_value(&host, rotten[way]);
		host_open(&host);
		assert_false(host.recovery.rebuilt);
		expect_wrong(&host, ".level");
		assert_int_equal(pd_engine_check_large(host.engine, &host.err), way == 0 ? PD_CORRUPT : 0);
		if (way == 0)
			assert_non_null(strstr(host.err.text, ".level"));
		host_done(&host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actor),       cmocka_unit_test(test_relations),
		cmocka_unit_test(test_quarantined), cmocka_unit_test(test_tenant),
		cmocka_unit_test(test_large),       cmocka_unit_test(test_no_memory_for_large),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
