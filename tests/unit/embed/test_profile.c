/* Profiles: quotas, durability and the expiry of whole actors, of actors and of the tenant. */
#include "host.h"

#include <unistd.h>

static void set(struct host *host, struct perdure_profile profile, unsigned fields)
{
	profile.size = sizeof profile;
	assert_ok(host, perdure_actor_set_profile(host->session, ACTOR, &profile, fields, &host->err));
}

static int put(struct host *host, const char *key, const char *value)
{
	return perdure_put(host->session, ACTOR, perdure_text(key), perdure_text(value), &host->err);
}

static struct perdure_profile own(struct host *host)
{
	struct perdure_profile profile = PERDURE_PROFILE_INIT;

	assert_ok(host, perdure_actor_profile(host->session, ACTOR, &profile, &host->err));
	return profile;
}

static void test_keys_and_bytes(void **state)
{
	struct host *host = *state;
	struct perdure_actor_info info = PERDURE_ACTOR_INFO_INIT;
	struct perdure_profile profile = PERDURE_PROFILE_INIT;

	assert_refused(
		host,
		perdure_actor_set_profile(host->session, ACTOR, &profile, PERDURE_PROFILE_KEYS, &host->err),
		PERDURE_NOT_FOUND);
	assert_refused(host, perdure_actor_profile(host->session, ACTOR, &profile, &host->err),
		       PERDURE_NOT_FOUND);
	host_put(host, host->session, "a", "123");
	assert_ok(host, perdure_actor_look(host->session, ACTOR, &info, &host->err));
	assert_int_equal(info.bytes, 2 + 3);
	assert_int_equal(info.bytes_known, PERDURE_BYTES_EXACT);
	assert_true(info.last_write_us > 0);
	set(host, (struct perdure_profile){ .quota_keys = 2, .quota_bytes = 12 },
	    PERDURE_PROFILE_KEYS | PERDURE_PROFILE_BYTES);
	assert_ok(host, put(host, "b", "12345"));
	assert_refused(host, put(host, "b", "123456"), PERDURE_QUOTA);
	assert_refused(host, put(host, "c", ""), PERDURE_QUOTA);
	/* All of a transaction, or nothing. */
	host_begin(host, host->session);
	host_put(host, host->session, "a", "");
	host_put(host, host->session, "b", "123456789");
	assert_refused(host, perdure_commit(host->session, NULL, &host->err), PERDURE_QUOTA);
	assert_string_equal(host_scan(host, host->session, NULL), "a=123 b=12345");
	host_begin(host, host->session);
	host_put(host, host->session, "a", "1234567");
	assert_ok(host, perdure_delete(host->session, ACTOR, perdure_text("b"), NULL, &host->err));
	host_commit(host, host->session);
	profile = own(host);
	assert_int_equal(profile.quota_keys, 2);
	assert_int_equal(profile.quota_bytes, 12);
	assert_int_equal(profile.quota_ops, 0);
	assert_int_equal(profile.level, PERDURE_LEVEL_DEFAULT);
	/* What is not named stays. */
	set(host, (struct perdure_profile){ .quota_bytes = 0 }, PERDURE_PROFILE_BYTES);
	assert_ok(host, put(host, "a", "123456789012345678901234567890"));
	assert_int_equal(own(host).quota_keys, 2);
	host_close(host);
	host_open(host);
	assert_int_equal(own(host).quota_keys, 2);
	assert_ok(host, put(host, "b", ""));
	assert_refused(host, put(host, "c", ""), PERDURE_QUOTA);
}

static void test_operations(void **state)
{
	struct host *host = *state;
	unsigned refused = 0, let_through = 0;

	host_put(host, host->session, "a", "1");
	set(host, (struct perdure_profile){ .quota_ops = 5 }, PERDURE_PROFILE_OPS);
	for (unsigned i = 0; i < 100 && refused == 0; i++) {
		int result = put(host, "a", "2");

		assert_true(result == 0 || result == PERDURE_QUOTA);
		refused += result == PERDURE_QUOTA;
		let_through += result == 0;
	}
	assert_int_equal(refused, 1);
	assert_true(let_through >= 5);
	assert_non_null(strstr(host->err.text, "come again in "));
	/* Others are not concerned. */
	assert_ok(host, perdure_put(host->other, perdure_text("other"), perdure_text("k"), perdure_text("v"),
				    &host->err));
	set(host, (struct perdure_profile){ 0 }, PERDURE_PROFILE_OPS);
	assert_ok(host, put(host, "a", "3"));
}

static void test_expiry(void **state)
{
	struct host *host = *state;
	struct perdure_actor_info info = PERDURE_ACTOR_INFO_INIT;
	int result = 0;

	host_put(host, host->session, "a", "1");
	set(host, (struct perdure_profile){ .expire_after_s = 1, .level = PERDURE_LEVEL_STANDARD },
	    PERDURE_PROFILE_EXPIRY | PERDURE_PROFILE_LEVEL);
	assert_int_equal(own(host).expire_after_s, 1);
	assert_int_equal(own(host).level, PERDURE_LEVEL_STANDARD);
	for (unsigned i = 0; i < 600 && result == 0; i++) {
		(void)usleep(50000);
		result = perdure_actor_look(host->session, ACTOR, &info, &host->err);
	}
	assert_int_equal(result, PERDURE_NOT_FOUND);
	assert_string_equal(host_get(host, host->session, "a"), "");
}

static void test_tenant(void **state)
{
	struct host *host = *state;
	struct perdure_profile profile = PERDURE_PROFILE_INIT;
	struct perdure_tenant_info info = PERDURE_TENANT_INFO_INIT;
	struct perdure_session *acme;

	assert_ok(host, perdure_session_new(host->db, "acme", &acme, &host->err));
	assert_ok(host, perdure_tenant_look(acme, &info, &host->err));
	assert_int_equal(info.actors, 0);
	assert_refused(host, perdure_tenant_set_profile(acme, &profile, PERDURE_PROFILE_KEYS, &host->err),
		       PERDURE_NOT_FOUND);
	assert_non_null(strstr(host->err.text, "'acme'"));
	assert_ok(host,
		  perdure_put(acme, perdure_text("x"), perdure_text("k"), perdure_text("1"), &host->err));
	assert_ok(host,
		  perdure_put(acme, perdure_text("y"), perdure_text("k"), perdure_text("1"), &host->err));
	profile.quota_keys = 2;
	profile.quota_bytes = 100;
	assert_ok(host, perdure_tenant_set_profile(acme, &profile,
						   PERDURE_PROFILE_KEYS | PERDURE_PROFILE_BYTES, &host->err));
	assert_refused(host,
		       perdure_put(acme, perdure_text("z"), perdure_text("k"), perdure_text("1"), &host->err),
		       PERDURE_QUOTA);
	assert_ok(host, perdure_tenant_look(acme, &info, &host->err));
	assert_int_equal(info.size, sizeof info);
	assert_int_equal(info.actors, 2);
	assert_int_equal(info.keys, 2);
	assert_int_equal(info.bytes, 6);
	assert_int_equal(info.bytes_known, PERDURE_BYTES_EXACT);
	profile = (struct perdure_profile)PERDURE_PROFILE_INIT;
	assert_ok(host, perdure_tenant_profile(acme, &profile, &host->err));
	assert_int_equal(profile.quota_bytes, 100);
	/* A tenant does not expire; and another one is not concerned. */
	profile.expire_after_s = 1;
	assert_refused(host, perdure_tenant_set_profile(acme, &profile, PERDURE_PROFILE_EXPIRY, &host->err),
		       PERDURE_INVALID);
	host_put(host, host->session, "a", "1");
	perdure_session_free(acme);
}

static void test_misuse(void **state)
{
	struct host *host = *state;
	struct perdure_profile profile = PERDURE_PROFILE_INIT, small = PERDURE_PROFILE_INIT;
	struct perdure_tenant_info info = { 0 };

	host_put(host, host->session, "a", "1");
	assert_refused(host, perdure_actor_set_profile(host->session, ACTOR, NULL, 1, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_actor_set_profile(host->session, ACTOR, &profile, 0, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_actor_set_profile(host->session, ACTOR, &profile, 64, &host->err),
		       PERDURE_INVALID);
	profile.level = 6;
	assert_refused(host, perdure_actor_set_profile(host->session, ACTOR, &profile, 1, &host->err),
		       PERDURE_INVALID);
	profile.level = 0;
	profile.quota_ops = UINT64_MAX;
	assert_refused(
		host,
		perdure_actor_set_profile(host->session, ACTOR, &profile, PERDURE_PROFILE_OPS, &host->err),
		PERDURE_INVALID);
	profile.size = 0;
	assert_refused(host, perdure_actor_set_profile(host->session, ACTOR, &profile, 1, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_actor_profile(host->session, ACTOR, &profile, &host->err),
		       PERDURE_INVALID);
	assert_refused(host, perdure_actor_profile(host->session, ACTOR, NULL, &host->err), PERDURE_INVALID);
	assert_refused(host, perdure_tenant_look(host->session, &info, &host->err), PERDURE_INVALID);
	/* Of an older program's: as much as it knows. */
	small.size = offsetof(struct perdure_profile, quota_bytes);
	small.quota_bytes = 77;
	assert_ok(host, perdure_actor_profile(host->session, ACTOR, &small, &host->err));
	assert_int_equal(small.quota_bytes, 77);
	assert_ok(host,
		  perdure_actor_set_profile(host->session, ACTOR, &small, PERDURE_PROFILE_BYTES, &host->err));
	assert_int_equal(own(host).quota_bytes, 0);
	host_begin(host, host->session);
	profile = (struct perdure_profile)PERDURE_PROFILE_INIT;
	assert_refused(host, perdure_actor_set_profile(host->session, ACTOR, &profile, 1, &host->err),
		       PERDURE_INVALID);
	perdure_rollback(host->session);
}

#define ON_DISK(test)   cmocka_unit_test_setup_teardown(test, host_setup, host_teardown)
#define IN_MEMORY(test) cmocka_unit_test_setup_teardown(test, host_setup_memory, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_DISK(test_keys_and_bytes), IN_MEMORY(test_operations), ON_DISK(test_expiry),
		IN_MEMORY(test_tenant),       IN_MEMORY(test_misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
