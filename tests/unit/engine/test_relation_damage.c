/* Relations that cannot be read, that make no sense, or that lead to somebody who is not to be written to. Whoever asks is told so, the
 * damage is known from then on, and it stands in nobody's way who wants to be rid of its actor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/codec.h"
#include "engine/actor.h"
#include "engine/draft.h"
#include "engine/engine_private.h"
#include "engine/relation.h"
#include "host.h"
#include "model/relation/relation.h"

static struct pd_actor *find(struct host *host, const char *name)
{
	struct pd_actor *actor = pd_engine_find_actor(host->engine, host->session, pd_slice_string(name));

	assert_non_null(actor);
	return actor;
}

/* As a memtable has it. */
static struct pd_slice entry_of(struct pd_slice key, uint8_t type, struct pd_slice value, uint8_t bytes[4096])
{
	bytes[0] = PD_EFFECT_PUT;
	bytes[1] = type;
	pd_store_u16(bytes + 2, (uint16_t)key.size);
	pd_store_u32(bytes + 4, (uint32_t)value.size);
	memcpy(bytes + PD_ENTRY_HEADER_SIZE, key.data, key.size);
	memcpy(bytes + PD_ENTRY_HEADER_SIZE + key.size, value.data, value.size);
	return pd_slice(bytes, PD_ENTRY_HEADER_SIZE + key.size + value.size);
}

/* Past the engine, which would not. */
static void put_raw(struct host *host, const char *actor, uint8_t type, struct pd_slice key,
		    struct pd_slice value)
{
	uint8_t bytes[4096];

	pd_store_begin(host->engine->store);
	assert_true(pd_store_put(host->engine->store, find(host, actor)->state,
				 entry_of(key, type, value, bytes).data, host_lsn(host), NULL,
				 &host->err) >= 0);
	pd_store_commit(host->engine->store);
}

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

static struct pd_slice relation_key(enum pd_relation_side side, const char *other,
				    uint8_t bytes[PD_RELATION_KEY_MAX])
{
	const struct pd_relation relation = { .side = side,
					      .kind = pd_slice_string("x"),
					      .other = pd_slice_string(other) };

	return pd_relation_key(&relation, bytes);
}

/* a is related to b, of the kind x, and c to a. */
static void begin(struct host *host)
{
	host_init(host);
	host_open(host);
	host_durable(host, "mset {a}k 1 {b}k 1 {c}k 1");
	host_durable(host, "PD.ACTOR RELATE a b KIND x");
	host_durable(host, "PD.ACTOR RELATE c a KIND x");
}

/* ---- what the levels have cannot be read ---- */

enum place { SIDE_OF_A, COUNT_OF_A, SIDE_OF_B, COUNT_OF_B, PLACES };

static void damage(struct host *host, enum place place)
{
	static const uint8_t space = PD_SPACE_RELATION;
	const char *actor = place <= COUNT_OF_A ? "a" : "b";
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct pd_slice key = pd_slice(&space, 1);

	if (place == SIDE_OF_A)
		key = relation_key(PD_RELATION_OUT, "b", bytes);
	else if (place == SIDE_OF_B)
		key = relation_key(PD_RELATION_IN, "a", bytes);
	/* A hash that has no fields makes no sense to who reads the levels. */
	put_raw(host, actor, PD_TYPE_HASH, key, pd_slice("\0", 1));
	checkpoint(host);
}

static const char *known_damage(struct host *host)
{
	return host->engine->stats.state_damage;
}

static int set_relations(struct host *host, const char *actor, struct pd_slice entries, bool dry_run,
			 struct pd_relations_done *ret_done)
{
	const struct pd_relations_order order = { find(host, actor)->id, entries, dry_run };

	host->err.text[0] = '\0';
	return pd_engine_set_relations(host->engine, host->session, &order, ret_done, &host->receipt,
				       &host->err);
}

enum way { RELATE, RELATE_ANOTHER, UNRELATE, FLUSH, END_ALL, SET, DROP, WAYS };

static int go(struct host *host, enum way way)
{
	uint8_t bytes[PD_RELATION_KEY_MAX], entry[4096];
	struct pd_slice one = entry_of(relation_key(PD_RELATION_OUT, "b", bytes), PD_TYPE_RELATION,
				       pd_slice_string("new"), entry);
	struct pd_relations_done done;

	switch (way) {
	case RELATE:
		return host_run(host, "PD.ACTOR RELATE a b KIND x DATA new");
	case RELATE_ANOTHER:
		return host_run(host, "PD.ACTOR RELATE a b KIND y");
	case UNRELATE:
		return host_run(host, "PD.ACTOR UNRELATE a b KIND x");
	case FLUSH:
		return host_run(host, "FLUSHALL");
	case END_ALL:
		return set_relations(host, "a", pd_slice(NULL, 0), false, &done);
	case SET:
		return set_relations(host, "a", one, false, &done);
	default:
		return pd_engine_drop_actor(host->engine, host->session, pd_slice_string("a"), &host->receipt,
					    &host->err);
	}
}

static void test_what_cannot_be_read(void **state)
{
	/* Whether it needs what cannot be read there. */
	static const bool refused[WAYS][PLACES] = {
		[RELATE] = { true, false, true, false }, [RELATE_ANOTHER] = { false, true, false, true },
		[UNRELATE] = { true, true, true, true }, [FLUSH] = { false, true, false, true },
		[END_ALL] = { true, true, true, true },  [SET] = { true, true, true, false },
		[DROP] = { false, false, false, false },
	};

	(void)state;
	for (enum place place = 0; place < PLACES; place++)
		for (enum way way = 0; way < WAYS; way++) {
			struct host host;
			uint64_t lsn;
			int result;

			begin(&host);
			damage(&host, place);
			lsn = host_lsn(&host);
			result = go(&host, way);
			if (result != (refused[way][place] ? PD_CORRUPT : 0))
				fail_msg("way %d, place %d: %d, %s", (int)way, (int)place, result,
					 result == 0 ? host_reply(&host) : host.err.text);
			if (result != 0) {
				assert_string_not_equal(host.err.text, "");
				assert_int_equal(host_lsn(&host), lsn);
				host_expect(&host, "exists {a}k {b}k {c}k", ":3\r\n");
			}
			/* And the others go on. */
			host_durable(&host, "set {c}k 2");
			assert_int_equal(host_run(&host, "PD.ACTOR RELATE c b KIND z"),
					 place == COUNT_OF_B ? PD_CORRUPT : 0);
			if (way == DROP)
				assert_null(pd_engine_find_actor(host.engine, host.session,
								 pd_slice_string("a")));
			host_done(&host);
		}
}

/* ---- what makes no sense ---- */

/* In the space of relations, and none: whoever wants to be rid of the actor passes over it. */
static void test_what_is_no_relation(void **state)
{
	static uint8_t key[PD_RELATION_KEY_MAX + 1], value[PD_RELATION_DATA_MAX + 1];
	uint8_t bytes[PD_RELATION_KEY_MAX];
	struct host host;

	(void)state;
	begin(&host);
	memset(key, 'k', sizeof key);
	key[0] = PD_SPACE_RELATION;
	put_raw(&host, "a", PD_TYPE_STRING, pd_slice(key, sizeof key), pd_slice("1", 1));
	put_raw(&host, "a", PD_TYPE_STRING, relation_key(PD_RELATION_OUT, "long", bytes),
		pd_slice(value, sizeof value));
	assert_int_equal(go(&host, DROP), 0);
	host_expect(&host, "PD.ACTOR UNRELATE b a KIND x", ":0\r\n");
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	assert_string_equal(known_damage(&host), "");
	host_done(&host);
}

/* What comes with an actor and is no relation refuses it, and leaves no trace. */
static void test_what_arrives(void **state)
{
	bool missing[1];
	uint8_t entry[4096];
	struct pd_relations_arrival arrival = { .missing = missing };
	struct pd_draft_place place = { .name = pd_slice_string("new"), .relations = &arrival };
	struct pd_draft *draft;
	struct host host;

	(void)state;
	begin(&host);
	arrival.entries = entry_of(pd_slice_string("knot a relation"), PD_TYPE_RELATION, pd_slice("1", 1),
				   entry);
	assert_int_equal(pd_draft_begin(host.engine, host.session, pd_slice_string("default"), &draft,
					&host.receipt, &host.err),
			 0);
	assert_int_equal(pd_draft_publish(draft, &place, &host.receipt, &host.err), PD_INVALID);
	assert_non_null(strstr(host.err.text, "that is no relation"));
	assert_null(pd_engine_find_actor(host.engine, host.session, place.name));
	place.relations = NULL;
	assert_int_equal(pd_draft_publish(draft, &place, &host.receipt, &host.err), 0);
	assert_non_null(pd_engine_find_actor(host.engine, host.session, place.name));
	host_done(&host);
}

/* ---- what they were ---- */

/* What leads to one that is quarantined, or not there, stays as it is, and is counted. */
static void test_to_the_quarantined(void **state)
{
	uint8_t bytes[PD_RELATION_KEY_MAX], entry[4096];
	struct pd_relations_done done;
	struct pd_slice one;
	struct host host;

	(void)state;
	begin(&host);
	assert_int_equal(pd_note_quarantine(host.engine, find(&host, "b"), 1, 1, &host.err), 0);
	/* The one to it stays; that from c ends. */
	assert_int_equal(set_relations(&host, "a", pd_slice(NULL, 0), false, &done), 0);
	assert_int_equal(done.missing, 1);
	assert_int_equal(done.ended, 1);
	assert_int_equal(done.related, 0);
	one = entry_of(relation_key(PD_RELATION_OUT, "b", bytes), PD_TYPE_RELATION, pd_slice_string("new"),
		       entry);
	assert_int_equal(set_relations(&host, "a", one, false, &done), 0);
	assert_int_equal(done.missing, 1);
	assert_int_equal(done.ended, 0);
	assert_int_equal(done.related, 0);
	/* Whoever is quarantined is asked nothing. */
	assert_int_equal(set_relations(&host, "b", one, false, &done), PD_CORRUPT);
	assert_non_null(strstr(host.err.text, "'b' is quarantined"));
	host_done(&host);
}

/* To say what would be done does nothing; whom it was of may have gone meanwhile. */
static void test_a_dry_run(void **state)
{
	struct pd_relations_order gone = { .actor = 4711 };
	struct pd_relations_done done = { 0 };
	struct host host;
	uint64_t lsn;

	(void)state;
	begin(&host);
	lsn = host_lsn(&host);
	assert_int_equal(set_relations(&host, "a", pd_slice(NULL, 0), true, &done), 0);
	assert_int_equal(done.ended, 2);
	assert_int_equal(host.receipt.lsn, 0);
	assert_int_equal(host_lsn(&host), lsn);
	host_expect(&host, "PD.ACTOR UNRELATE a b KIND x", ":1\r\n");
	assert_int_equal(
		pd_engine_set_relations(host.engine, host.session, &gone, &done, &host.receipt, &host.err),
		PD_CONFLICT);
	assert_non_null(strstr(host.err.text, "dropped or replaced meanwhile"));
	host_done(&host);
}

/* Who takes the place of one among several that have quotas is compared with that one. */
static void test_replaced_with_quotas(void **state)
{
	static const char *const names[] = { "b", "c", "a" };
	struct pd_profile_change change = { .has_keys = true, .quotas = { .keys = 3 } };
	bool missing[1];
	uint8_t entry[4096], bytes[PD_RELATION_KEY_MAX];
	struct pd_relations_arrival arrival = { .missing = missing };
	struct pd_draft_place place = { .name = pd_slice_string("a"), .relations = &arrival };
	struct pd_draft *draft;
	struct host host;

	(void)state;
	begin(&host);
	host_durable(&host, "mset {a}l 1 {a}m 1 {a}n 1");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(pd_engine_change_profile(host.engine, host.session, false,
							  pd_slice_string(names[i]), &change, &host.receipt,
							  &host.err),
				 0);
	assert_int_equal(pd_draft_begin(host.engine, host.session, pd_slice_string("default"), &draft,
					&host.receipt, &host.err),
			 0);
	for (char key[3] = "k0"; key[1] < '4'; key[1]++)
		assert_int_equal(
			pd_draft_put(draft,
				     entry_of(pd_slice(key, 2), PD_TYPE_STRING, pd_slice("1", 1), entry),
				     &host.receipt, &host.err),
			0);
	/* As many as it had, which was over the quota: no more than before. */
	place.instead_of = find(&host, "a")->id;
	arrival.entries = entry_of(relation_key(PD_RELATION_OUT, "c", bytes), PD_TYPE_RELATION,
				   pd_slice("1", 1), entry);
	assert_int_equal(pd_draft_publish(draft, &place, &host.receipt, &host.err), 0);
	assert_int_equal(arrival.related, 1);
	host_expect(&host, "exists {a}0 {a}1 {a}2 {a}3 {a}l", ":4\r\n");
	assert_int_equal(host_run(&host, "set {a}4 1"), PD_QUOTA);
	assert_int_equal(pd_engine_check_counts(host.engine, &host.err), 0);
	host_done(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_cannot_be_read), cmocka_unit_test(test_what_is_no_relation),
		cmocka_unit_test(test_what_arrives),        cmocka_unit_test(test_to_the_quarantined),
		cmocka_unit_test(test_a_dry_run),           cmocka_unit_test(test_replaced_with_quotas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
