/* One writer at a time: who lives keeps the repository, who is dead loses it, and who was taken for dead says so and leaves nothing. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static struct world *begin(void)
{
	struct world *world = pd_calloc(1, sizeof *world);

	assert_non_null(world);
	world_init(world, 9);
	world_open(world);
	vault_fill(world, 10);
	host_close(&world->host);
	return world;
}

static void end(struct world *world)
{
	world_done(world);
	pd_free(world);
}

static struct pd_repository *open_repository(struct world *world)
{
	static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = { 1, 2, 3 };
	struct pd_repository *repository;

	assert_int_equal(pd_repository_open_for(world->host.os, &PD_REPOSITORY_IN(REPOSITORY), cluster,
						&repository, NULL),
			 0);
	return repository;
}

static bool renew(void *context, uint64_t done, uint64_t total)
{
	(void)done;
	(void)total;
	assert_int_equal(pd_backup_lease_keep(context, NULL), 0);
	return true;
}

static void test_two(void **state)
{
	struct world *world = begin();
	struct pd_repository *one = open_repository(world), *two = open_repository(world);
	struct pd_backup_lease first, second, third;
	struct pd_backup_watch watch = { .go_on = renew, .context = &first };
	struct pd_error err = { 0 };

	(void)state;
	assert_int_equal(pd_backup_lease_take(&first, one, NULL, &err), 0);
	/* It lives: so many renewals later it still does. */
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(pd_backup_lease_take(&second, two, &watch, &err), PD_BUSY);
	assert_int_equal(pd_backup_lease_prove(&first, &err), 0);
	/* It says no more: whoever waits gets it, and it is told. */
	assert_int_equal(pd_backup_lease_take(&second, two, NULL, &err), 0);
	assert_true(second.epoch > first.epoch);
	pd_sim_advance_us(world->host.os, 6000000);
	assert_int_equal(pd_backup_lease_keep(&first, &err), PD_FENCED);
	assert_int_equal(pd_backup_lease_keep(&second, &err), 0);
	pd_backup_lease_end(&first);
	/* Its end is not the other's. */
	assert_int_equal(pd_backup_lease_prove(&second, &err), 0);
	pd_backup_lease_end(&second);
	/* What was ended is free at once. */
	{
		uint64_t before_ns = pd_os_monotonic_ns(world->host.os);

		assert_int_equal(pd_backup_lease_take(&third, one, NULL, &err), 0);
		assert_true(pd_os_monotonic_ns(world->host.os) - before_ns < 1000000000);
	}
	pd_backup_lease_end(&third);
	pd_repository_free(one);
	pd_repository_free(two);
	end(world);
}

static bool told_to_end(void *context, uint64_t done_bytes)
{
	(void)context;
	(void)done_bytes;
	return false;
}

/* Who is told to end says that it has: the next one does not wait until it is taken for dead. */
static void test_last_word(void **state)
{
	struct world *world = begin();
	struct pd_repository *one = open_repository(world), *two = open_repository(world);
	struct pd_repository_place place = PD_REPOSITORY_IN(REPOSITORY);
	const struct pd_object_watch watch = { told_to_end, NULL };
	struct pd_backup_lease first, second;
	struct pd_repository *never;
	struct pd_error err = { 0 };
	uint64_t before_ns;

	(void)state;
	assert_int_equal(pd_backup_lease_take(&first, one, NULL, &err), 0);
	pd_object_store_watch(one->store, &watch);
	assert_int_equal(pd_backup_lease_prove(&first, &err), PD_CANCELLED);
	pd_backup_lease_end(&first);
	assert_true(one->store->watch.go_on == told_to_end);
	before_ns = pd_os_monotonic_ns(world->host.os);
	assert_int_equal(pd_backup_lease_take(&second, two, NULL, &err), 0);
	assert_true(pd_os_monotonic_ns(world->host.os) - before_ns < 1000000000);
	pd_backup_lease_end(&second);
	/* Whoever watches a place is asked from its opening on. */
	place.store.watch = watch;
	assert_int_equal(pd_repository_open(world->host.os, &place, &never, &err), PD_CANCELLED);
	pd_repository_free(one);
	pd_repository_free(two);
	end(world);
}

struct thief {
	struct world *world;
	struct pd_repository *repository;
	struct pd_backup_lease lease;
};

/* Once, in the middle. */
static bool take_over(void *context, uint64_t done, uint64_t total)
{
	struct thief *thief = context;

	(void)total;
	if (done == 0 || thief->repository != NULL)
		return true;
	assert_int_equal(pd_repository_open(thief->world->host.os, &PD_REPOSITORY_IN(REPOSITORY),
					    &thief->repository, NULL),
			 0);
	assert_int_equal(pd_backup_lease_take(&thief->lease, thief->repository, NULL, NULL), 0);
	return true;
}

static void test_taken_over(void **state)
{
	struct world *world = begin();
	struct thief thief = { .world = world };
	struct pd_backup_order order = { .repository = PD_REPOSITORY_IN(REPOSITORY),
					 .watch = { take_over, &thief },
					 .levels = PD_LEVELS_PLAIN };
	struct pd_backup_made made;
	struct pd_os_names ids;
	struct pd_error err = { 0 };

	(void)state;
	assert_int_equal(pd_backup_make_of_directory(world->host.os, "data", &order, &made, &err), PD_FENCED);
	assert_non_null(thief.repository);
	assert_int_equal(pd_backup_list(thief.repository, &ids, &err), 0);
	assert_int_equal(ids.count, 0);
	pd_os_names_done(&ids);
	pd_backup_lease_end(&thief.lease);
	pd_repository_free(thief.repository);
	assert_int_equal(vault_back_up(world, &made, &err), 0);
	end(world);
}

struct overtaking {
	struct world *world;
	struct pd_repository *repository;
	struct pd_backup_lease lease;
	unsigned left;      /* calls, until it comes */
	uint64_t waited_ns; /* for one that looked dead */
};

/* Two others have had it, one after the other, while one was about to take it; the second has it still. */
static bool overtake(void *context, uint64_t done)
{
	struct overtaking *other = context;

	(void)done;
	if (other->left == 0 || --other->left > 0)
		return true;
	other->waited_ns = pd_os_monotonic_ns(other->world->host.os);
	for (unsigned i = 0; i < 2; i++) {
		pd_backup_lease_end(&other->lease);
		assert_int_equal(pd_backup_lease_take(&other->lease, other->repository, NULL, NULL), 0);
	}
	other->waited_ns = pd_os_monotonic_ns(other->world->host.os) - other->waited_ns;
	return true;
}

/* One that is slow never takes what somebody has. */
static void test_slow(void **state)
{
	bool came = true;

	(void)state;
	for (unsigned n = 1; came; n++) {
		struct world *world = begin();
		struct pd_repository *repository = open_repository(world);
		struct overtaking other = { world, open_repository(world), { 0 }, n, 0 };
		struct pd_object_watch watch = { overtake, &other };
		struct pd_backup_lease lease;
		int result;

		/* There is one that was ended. */
		assert_int_equal(pd_backup_lease_take(&lease, repository, NULL, NULL), 0);
		pd_backup_lease_end(&lease);
		pd_object_store_watch(repository->store, &watch);
		result = pd_backup_lease_take(&lease, repository, NULL, NULL);
		came = other.left == 0;
		pd_object_store_watch(repository->store, NULL);
		/* It had it, and was so slow then that it looked dead; or it has it; or it has not. */
		if (result == 0)
			assert_true(other.waited_ns >= PD_BACKUP_LEASE_DEAD_S * UINT64_C(1000000000) ||
				    pd_backup_lease_prove(&lease, NULL) == 0);
		else
			assert_true(came && (result == PD_BUSY || result == PD_FENCED));
		pd_backup_lease_end(&lease);
		pd_backup_lease_end(&other.lease);
		pd_repository_free(repository);
		pd_repository_free(other.repository);
		end(world);
	}
}

static bool stop(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	(void)total;
	return done == 0;
}

/* Ended by who ordered it: nothing is there, and the repository is free. */
static void test_cancelled(void **state)
{
	struct world *world = begin();
	struct pd_backup_order order = { .repository = PD_REPOSITORY_IN(REPOSITORY),
					 .watch = { stop, NULL },
					 .levels = PD_LEVELS_PLAIN };
	struct pd_backup_made made;
	struct pd_error err = { 0 };
	uint64_t before_ns;

	(void)state;
	assert_int_equal(pd_backup_make_of_directory(world->host.os, "data", &order, &made, &err),
			 PD_CANCELLED);
	before_ns = pd_os_monotonic_ns(world->host.os);
	assert_int_equal(vault_back_up(world, &made, &err), 0);
	assert_true(pd_os_monotonic_ns(world->host.os) - before_ns < 5000000000);
	end(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two),        cmocka_unit_test(test_last_word),
		cmocka_unit_test(test_taken_over), cmocka_unit_test(test_slow),
		cmocka_unit_test(test_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
