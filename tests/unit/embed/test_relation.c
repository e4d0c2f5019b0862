/* Relations between actors, through the library. */
#include "host.h"

#define A perdure_text("a")
#define B perdure_text("b")

static const char *text_of(const struct perdure_reply *map, const char *name)
{
	assert_int_equal(map->kind, PERDURE_REPLY_MAP);
	for (size_t i = 0; i + 1 < map->count; i += 2)
		if (strcmp(map->items[i].text.data, name) == 0)
			return map->items[i + 1].text.data;
	fail_msg("there is no %s", name);
	return NULL;
}

static void put(struct host *host, struct perdure_bytes actor)
{
	assert_ok(host, perdure_put(host->session, actor, perdure_text("k"), perdure_text("1"), &host->err));
}

/* How many there are; of one it is compared who it is. */
static size_t count(struct host *host, struct perdure_bytes actor, int directions, const char *kind,
		    const char *other)
{
	struct perdure_reply *reply;
	size_t found;

	assert_ok(host, perdure_actor_relations(host->session, actor, directions, kind, &reply, &host->err));
	found = reply->count;
	if (found == 1)
		assert_string_equal(text_of(&reply->items[0], "actor"), other);
	perdure_reply_free(reply);
	return found;
}

static void test_both_sides(void **state)
{
	struct host *host = *state;
	int answer = 7;

	put(host, A);
	put(host, B);
	assert_ok(host, perdure_actor_relate(host->session, A, B, "friend", perdure_text("hi"), &answer,
					     &host->err));
	assert_int_equal(answer, 1);
	assert_ok(host, perdure_actor_relate(host->session, A, B, "friend", perdure_text("ho"), &answer,
					     &host->err));
	assert_int_equal(answer, 0);
	assert_ok(host,
		  perdure_actor_relate(host->session, B, A, NULL, perdure_data(NULL, 0), NULL, &host->err));
	assert_int_equal(count(host, A, PERDURE_RELATIONS_OUT, NULL, "b"), 1);
	assert_int_equal(count(host, A, PERDURE_RELATIONS_IN, NULL, "b"), 1);
	assert_int_equal(count(host, A, PERDURE_RELATIONS_BOTH, NULL, NULL), 2);
	assert_int_equal(count(host, A, PERDURE_RELATIONS_BOTH, "friend", "b"), 1);
	host_close(host);
	host_open(host);
	assert_int_equal(count(host, B, PERDURE_RELATIONS_IN, "friend", "a"), 1);
	assert_ok(host, perdure_actor_unrelate(host->session, A, B, "friend", &answer, &host->err));
	assert_int_equal(answer, 1);
	assert_ok(host, perdure_actor_unrelate(host->session, A, B, "friend", &answer, &host->err));
	assert_int_equal(answer, 0);
	assert_ok(host, perdure_actor_drop(host->session, B, &host->err));
	assert_int_equal(count(host, A, PERDURE_RELATIONS_BOTH, NULL, NULL), 0);
}

static void test_refused(void **state)
{
	struct host *host = *state;
	struct perdure_reply *reply;

	put(host, A);
	assert_refused(
		host,
		perdure_actor_relate(host->session, A, B, NULL, perdure_data(NULL, 0), NULL, &host->err),
		PERDURE_NOT_FOUND);
	assert_refused(host,
		       perdure_actor_relate(host->session, A, perdure_text("t/b"), NULL,
					    perdure_data(NULL, 0), NULL, &host->err),
		       PERDURE_INVALID);
	assert_refused(host,
		       perdure_actor_relate(host->session, A, A, "two words", perdure_data(NULL, 0), NULL,
					    &host->err),
		       PERDURE_INVALID);
	assert_refused(
		host,
		perdure_actor_relations(host->session, B, PERDURE_RELATIONS_BOTH, NULL, &reply, &host->err),
		PERDURE_NOT_FOUND);
	assert_refused(host, perdure_actor_relations(host->session, A, 0, NULL, &reply, &host->err),
		       PERDURE_INVALID);
	host_begin(host, host->session);
	assert_refused(
		host,
		perdure_actor_relate(host->session, A, A, NULL, perdure_data(NULL, 0), NULL, &host->err),
		PERDURE_INVALID);
	perdure_rollback(host->session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_sides, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(test_refused, host_setup, host_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
