/* Logins: turns, floods, and those whose client goes away. On a simulated machine a task has ended when it was started, and time
 * passes as the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "os/os.h"
#include "os/sim.h"
#include "security/login.h"

struct world {
	struct pd_os *os;
	struct pd_logins *logins;
	struct pd_verifier verifier;
};

static int set_up(void **state)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct world *world = pd_calloc(1, sizeof *world);
	struct pd_error err;

	assert_non_null(world);
	assert_int_equal(pd_os_sim_new(&machine, &world->os, &err), 0);
	pd_sim_advance_us(world->os, 1000000000);
	world->logins = pd_logins_new(world->os);
	assert_non_null(world->logins);
	/* As cheap as can be: what it costs is not the question here. */
	world->verifier.cost = (struct pd_password_cost){ .memory_kib = 8, .passes = 1, .lanes = 1 };
	assert_int_equal(pd_password_hash(pd_slice_string("secret"), world->verifier.salt,
					  &world->verifier.cost, world->verifier.hash),
			 0);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	pd_logins_free(world->logins);
	pd_os_free(world->os);
	pd_free(world);
	return 0;
}

static struct pd_login *ask(struct world *world, const char *address, const char *password)
{
	struct pd_login *login;
	struct pd_error err;

	assert_int_equal(pd_logins_verify(world->logins, address, &world->verifier, pd_slice_string(password),
					  &login, &err),
			 0);
	return login;
}

static void step(struct world *world)
{
	/* One starts it, the next collects it. */
	pd_logins_step(world->logins);
	pd_sim_advance_us(world->os, 10000);
	pd_logins_step(world->logins);
}

static enum pd_login_state outcome(struct world *world, const char *address, const char *password)
{
	struct pd_login *login = ask(world, address, password);
	enum pd_login_state state;

	step(world);
	state = pd_login_state(login);
	pd_login_free(login);
	return state;
}

static void test_outcomes(void **state)
{
	struct world *world = *state;
	struct pd_login_stats stats;
	struct pd_login *login;
	struct pd_error err;

	assert_int_equal(pd_logins_timeout_us(world->logins), -1);
	assert_int_equal(outcome(world, "10.0.0.1:1", "secret"), PD_LOGIN_ACCEPTED);
	assert_int_equal(outcome(world, "10.0.0.1:2", "wrong"), PD_LOGIN_REFUSED);
	/* Of nobody: refused as well. */
	assert_int_equal(
		pd_logins_verify(world->logins, "10.0.0.1:3", NULL, pd_slice_string("secret"), &login, &err),
		0);
	step(world);
	assert_int_equal(pd_login_state(login), PD_LOGIN_REFUSED);
	pd_login_free(login);
	pd_logins_stats(world->logins, &stats);
	assert_true(stats.accepted == 1 && stats.refused == 2 && stats.waiting == 0 && stats.running == 0);
	assert_int_equal(pd_logins_timeout_us(world->logins), -1);
}

static void test_making(void **state)
{
	struct world *world = *state;
	struct pd_login *login, *other;
	struct pd_error err;

	assert_int_equal(pd_logins_make(world->logins, pd_slice_string("new"), &login, &err), 0);
	assert_int_equal(pd_logins_make(world->logins, pd_slice_string("new"), &other, &err), 0);
	step(world);
	assert_int_equal(pd_login_state(login), PD_LOGIN_ACCEPTED);
	assert_int_equal(pd_verifier_check(pd_login_verifier(login), pd_slice_string("new")), 1);
	/* The same password twice is not the same verifier. */
	assert_memory_not_equal(pd_login_verifier(login)->hash, pd_login_verifier(other)->hash,
				PD_PASSWORD_HASH_SIZE);
	assert_memory_not_equal(pd_login_verifier(login)->stored_key, pd_login_verifier(other)->stored_key,
				PD_SHA256_SIZE);
	pd_login_free(login);
	pd_login_free(other);
}

/* After three wrong ones an address has to wait, longer each time; another one does not, whatever is queued before it. */
static void test_flood(void **state)
{
	struct world *world = *state;
	struct pd_login *flood[50], *other;
	struct pd_login_stats stats;
	size_t refused = 0;

	for (int i = 0; i < 4; i++)
		assert_int_equal(outcome(world, "10.0.0.1:1", "wrong"), PD_LOGIN_REFUSED);
	for (int i = 0; i < 50; i++)
		flood[i] = ask(world, "10.0.0.1:7", "wrong");
	other = ask(world, "10.0.0.2:1", "secret");
	step(world);
	assert_int_equal(pd_login_state(other), PD_LOGIN_ACCEPTED);
	assert_int_equal(pd_login_state(flood[0]), PD_LOGIN_PENDING);
	assert_true(pd_logins_timeout_us(world->logins) > 0);
	/* 100 ms, 200 ms, 400 ms … 5 s: within 20 s not even ten. */
	for (int ms = 0; ms < 20000; ms += 20)
		step(world);
	for (int i = 0; i < 50; i++)
		refused += pd_login_state(flood[i]) == PD_LOGIN_REFUSED;
	assert_in_range(refused, 4, 9);
	pd_logins_stats(world->logins, &stats);
	assert_int_equal(stats.delayed, 50);
	for (int i = 0; i < 50; i++)
		pd_login_free(flood[i]);
	pd_login_free(other);
	/* It is forgotten in the end. */
	pd_sim_advance_us(world->os, 200000000);
	assert_int_equal(outcome(world, "10.0.0.1:1", "secret"), PD_LOGIN_ACCEPTED);
}

static void test_bounds(void **state)
{
	struct world *world = *state;
	struct pd_login *logins[1024], *login;
	struct pd_error err;

	for (size_t i = 0; i < 1024; i++)
		logins[i] = ask(world, "10.0.0.1:1", "wrong");
	assert_int_equal(pd_logins_verify(world->logins, "10.0.0.1:2", &world->verifier,
					  pd_slice_string("secret"), &login, &err),
			 PD_BUSY);
	login = ask(world, "[::1]:2", "secret");
	for (size_t i = 0; i < 1024; i++)
		pd_login_free(logins[i]);
	step(world);
	assert_int_equal(pd_login_state(login), PD_LOGIN_ACCEPTED);
	pd_login_free(login);
}

/* Two addresses have hundreds waiting: somebody of a third one waits for none of them but those that are being computed. */
static void test_addresses_take_turns(void **state)
{
	struct world *world = *state;
	struct pd_login *crowd[600], *other;

	for (size_t i = 0; i < 600; i++)
		crowd[i] = ask(world, i % 2 == 0 ? "10.0.0.1:1" : "10.0.0.2:1", "secret");
	pd_logins_step(world->logins);
	other = ask(world, "10.0.0.3:1", "secret");
	step(world);
	step(world);
	assert_int_equal(pd_login_state(other), PD_LOGIN_ACCEPTED);
	assert_int_equal(pd_login_state(crowd[599]), PD_LOGIN_PENDING);
	/* And among those of one address it goes by who came first. */
	assert_int_equal(pd_login_state(crowd[0]), PD_LOGIN_ACCEPTED);
	for (size_t i = 0; i < 400; i++)
		step(world);
	for (size_t i = 0; i < 600; i++) {
		assert_int_equal(pd_login_state(crowd[i]), PD_LOGIN_ACCEPTED);
		pd_login_free(crowd[i]);
	}
	pd_login_free(other);
}

/* All places are taken, by a few: another address gets one, from whoever has the most. */
static void test_places_are_shared(void **state)
{
	static struct pd_login *crowd[4096];
	struct world *world = *state;
	struct pd_login *other;
	struct pd_login_stats stats;
	char address[32];
	size_t out = 0;

	for (size_t i = 0; i < 4096; i++) {
		(void)snprintf(address, sizeof address, "10.0.0.%zu:1", i % 4);
		crowd[i] = ask(world, address, "secret");
	}
	other = ask(world, "10.0.1.1:1", "secret");
	for (size_t i = 0; i < 4096; i++)
		out += pd_login_state(crowd[i]) == PD_LOGIN_CROWDED_OUT;
	assert_int_equal(out, 1);
	/* The last one of its address, not one that has waited for long. */
	for (size_t i = 0; i < 4092; i++)
		assert_int_equal(pd_login_state(crowd[i]), PD_LOGIN_PENDING);
	for (size_t i = 0; i < 4; i++)
		step(world);
	assert_int_equal(pd_login_state(other), PD_LOGIN_ACCEPTED);
	pd_logins_stats(world->logins, &stats);
	assert_int_equal(stats.rejected, 1);
	for (size_t i = 0; i < 4096; i++)
		pd_login_free(crowd[i]);
	pd_login_free(other);
	for (size_t i = 0; i < 4; i++)
		step(world);
	assert_int_equal(pd_logins_timeout_us(world->logins), -1);
}

/* Of those whose clients may have gone an address has a few, and one that goes makes room for another. */
static void test_lingering(void **state)
{
	struct world *world = *state;
	struct pd_login *logins[20], *other = ask(world, "10.0.0.2:1", "secret");
	size_t stay = 0;

	for (size_t i = 0; i < 20; i++) {
		logins[i] = ask(world, "10.0.0.1:1", "secret");
		stay += pd_login_lingers(logins[i]);
	}
	assert_int_equal(stay, 8);
	assert_true(pd_login_lingers(logins[0]));
	assert_true(pd_login_lingers(other));
	pd_login_free(logins[0]);
	assert_true(pd_login_lingers(logins[19]));
	assert_false(pd_login_lingers(logins[18]));
	for (size_t i = 0; i < 20; i++)
		step(world);
	for (size_t i = 1; i < 20; i++) {
		assert_int_equal(pd_login_state(logins[i]), PD_LOGIN_ACCEPTED);
		assert_true(pd_login_lingers(logins[i]));
		pd_login_free(logins[i]);
	}
	pd_login_free(other);
}

/* A client may go at any moment. */
static void test_abandoned(void **state)
{
	struct world *world = *state;
	struct pd_login *first = ask(world, "10.0.0.1:1", "wrong"),
			*second = ask(world, "10.0.0.2:1", "wrong"),
			*third = ask(world, "10.0.0.3:1", "secret");
	struct pd_login_stats stats;

	pd_login_free(second);
	pd_logins_step(world->logins); /* first and third run */
	pd_login_free(first);
	pd_sim_advance_us(world->os, 10000);
	pd_logins_step(world->logins);
	assert_int_equal(pd_login_state(third), PD_LOGIN_ACCEPTED);
	pd_login_free(third);
	pd_logins_stats(world->logins, &stats);
	assert_true(stats.refused == 1 && stats.waiting == 0 && stats.running == 0);
	/* And the server may end with some left. */
	(void)ask(world, "10.0.0.1:1", "wrong");
	pd_login_free(NULL);
}

static void test_long_password(void **state)
{
	static char password[PD_USER_PASSWORD_MAX + 2];
	struct world *world = *state;

	memset(password, 'x', sizeof password - 1);
	assert_int_equal(outcome(world, "10.0.0.1:1", password), PD_LOGIN_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outcomes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_making, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flood, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_addresses_take_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_places_are_shared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lingering, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_abandoned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_password, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
