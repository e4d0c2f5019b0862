/* lease/EPOCH-RENEWAL, lease/EPOCH-ended: ten and six digits, so that names sort as the numbers do. Renewal 0 is the claim: it stays as long
 * as the lease is held, so that nobody can claim the same epoch, however old the list is that he goes by. */
#include "backup/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backup/catalog.h"
#include "backup/manifest.h"
#include "base/plant.h"
#include "base/slice.h"

#define PREFIX      "lease/"
#define NAME_SIZE   64
#define EPOCH_SIZE  10u
#define LOOK_US     UINT64_C(500000) /* between two looks at one that somebody has */
#define NS_PER_S    UINT64_C(1000000000)
#define LAST_WORD_S 3u /* to say that it is over, for who is told to end */

/* The newest that is there. */
struct newest {
	uint64_t epoch, renewal; /* epoch 0: none */
	bool ended;
};

static bool to_number(struct pd_slice text, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (text.size == 0 || text.size > 18)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(text.data[i] - '0');
	}
	*ret_number = number;
	return true;
}

static int see(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct newest *newest = context;
	struct pd_slice name = pd_slice_string(entry->name + sizeof PREFIX - 1), rest;
	uint64_t epoch, renewal = 0;
	bool ended;

	(void)err;
	if (name.size <= EPOCH_SIZE + 1 || name.data[EPOCH_SIZE] != '-' ||
	    !to_number(pd_slice(name.data, EPOCH_SIZE), &epoch))
		return 0; /* nobody's */
	rest = pd_slice(name.data + EPOCH_SIZE + 1, name.size - EPOCH_SIZE - 1);
	ended = pd_slice_equal(rest, pd_slice_string("ended"));
	if (!ended && !to_number(rest, &renewal))
		return 0;
	if (epoch > newest->epoch)
		*newest = (struct newest){ .epoch = epoch };
	if (epoch == newest->epoch) {
		newest->ended = newest->ended || ended;
		newest->renewal = renewal > newest->renewal ? renewal : newest->renewal;
	}
	return 0;
}

static int look(struct pd_repository *repository, struct newest *ret_newest, struct pd_error *err)
{
	*ret_newest = (struct newest){ 0 };
	return pd_repository_each(repository, PREFIX, see, ret_newest, err);
}

static void name_of(uint64_t epoch, uint64_t renewal, char name[NAME_SIZE])
{
	(void)snprintf(name, NAME_SIZE, PREFIX "%010" PRIu64 "-%06" PRIu64, epoch, renewal);
}

static int put(struct pd_repository *repository, uint64_t epoch, uint64_t renewal, struct pd_error *err)
{
	char name[NAME_SIZE];

	name_of(epoch, renewal, name);
	return pd_object_put_bytes(repository->store, name, pd_slice_string(PD_VERSION "\n"), NULL, err);
}

/* What is behind us tells nobody anything. Whatever stays of it is overlooked. */
static int remove_old(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	const struct pd_backup_lease *lease = context;
	char claim[NAME_SIZE], newest[NAME_SIZE];

	(void)err;
	name_of(lease->epoch, 0, claim);
	name_of(lease->epoch, lease->renewal, newest);
	if (strcmp(entry->name, newest) < 0 && strcmp(entry->name, claim) != 0)
		(void)!pd_object_delete(lease->repository->store, entry->name, NULL);
	return 0;
}

static int busy(const struct pd_repository *repository, struct pd_error *err)
{
	return pd_error_set(err, PD_BUSY,
			    "somebody else writes to the repository %s: one does at a time, try again later",
			    pd_repository_address(repository));
}

/* What the one before us has left when it was killed is what we see, and stays so: no backup comes back of which we remove the pieces, none goes from which
 * ours goes on. */
static int settle(struct pd_repository *repository, struct pd_error *err)
{
	int result;

	if (pd_plant(PD_PLANT_REPOSITORY_UNSETTLED))
		return 0;
	result = pd_object_settle(repository->store, "repository", err);
	if (result == 0)
		result = pd_object_settle(repository->store, PD_BACKUP_PREFIX, err);
	return result == 0 ? pd_object_settle(repository->store, PD_BACKUP_ACTORS_PREFIX, err) : result;
}

/* Wait until it is sure that nobody renews the newest. */
static int watch_it(struct pd_repository *repository, struct newest *newest,
		    const struct pd_backup_watch *watch, struct pd_error *err)
{
	uint64_t since_ns = pd_os_monotonic_ns(repository->os);

	while (newest->epoch > 0 && !newest->ended &&
	       pd_os_monotonic_ns(repository->os) - since_ns < PD_BACKUP_LEASE_DEAD_S * NS_PER_S) {
		struct newest now;
		int result = pd_backup_step(watch, 0, 0, err);

		if (result != 0)
			return result;
		pd_os_sleep_us(repository->os, LOOK_US);
		result = look(repository, &now, err);
		if (result != 0)
			return result;
		if (now.epoch != newest->epoch || (now.renewal != newest->renewal && !now.ended))
			return busy(repository, err);
		*newest = now;
	}
	return 0;
}

/* Without any lease (somebody has copied a repository and left them out) the backups tell under which they were made: they are put in order by that,
 * and what comes must be newer than all that is there. */
static void note_highest(struct pd_catalog *catalog, uint64_t *epoch)
{
	for (size_t i = 0; i < catalog->count; i++)
		if (catalog->items[i].lease > *epoch)
			*epoch = catalog->items[i].lease;
	pd_catalog_done(catalog);
}

static int find_highest(struct pd_repository *repository, uint64_t *ret_epoch, struct pd_error *err)
{
	struct pd_catalog catalog;
	int result = pd_catalog_load(repository, NULL, &catalog, err);

	if (result != 0)
		return result;
	note_highest(&catalog, ret_epoch);
	result = pd_catalog_load_actors(repository, NULL, &catalog, err);
	if (result == 0)
		note_highest(&catalog, ret_epoch);
	return result;
}

int pd_backup_lease_take(struct pd_backup_lease *lease, struct pd_repository *repository,
			 const struct pd_backup_watch *watch, struct pd_error *err)
{
	struct newest newest;
	int result = look(repository, &newest, err);

	*lease = (struct pd_backup_lease){ .repository = repository };
	if (result == 0)
		result = watch_it(repository, &newest, watch, err);
	if (result == 0 && newest.epoch == 0)
		result = find_highest(repository, &newest.epoch, err);
	if (result == 0)
		result = put(repository, newest.epoch + 1, 0, err);
	if (result == PD_EXISTS)
		return busy(repository, err);
	if (result != 0)
		return result;
	lease->epoch = newest.epoch + 1;
	lease->renewed_ns = pd_os_monotonic_ns(repository->os);
	/* Others may have had it since we looked, and have removed the name that would have been in our way. */
	result = pd_backup_lease_prove(lease, err);
	if (result == PD_FENCED) {
		lease->epoch = 0;
		return busy(repository, err);
	}
	if (result == 0)
		result = pd_repository_each(repository, PREFIX, remove_old, lease, err);
	return result == 0 ? settle(repository, err) : result;
}

static int is_claimed(struct pd_repository *repository, uint64_t epoch, bool *ret_claimed,
		      struct pd_error *err)
{
	char name[NAME_SIZE];
	uint64_t size;
	int result;

	name_of(epoch, 0, name);
	result = pd_object_head(repository->store, name, &size, err);
	*ret_claimed = result == 0;
	return result == PD_NOT_FOUND ? 0 : result;
}

/* By its list, and by the claims themselves: a list may be older than they are. */
int pd_backup_lease_prove(struct pd_backup_lease *lease, struct pd_error *err)
{
	bool ours = false, theirs = false;
	struct newest newest;
	int result = look(lease->repository, &newest, err);

	if (result == 0)
		result = is_claimed(lease->repository, lease->epoch, &ours, err);
	if (result == 0)
		result = is_claimed(lease->repository, lease->epoch + 1, &theirs, err);
	if (result != 0)
		return result;
	if ((newest.epoch > lease->epoch || theirs || !ours) && !pd_plant(PD_PLANT_LEASE_IGNORED))
		return pd_error_set(err, PD_FENCED,
				    "the repository %s was taken over by somebody else, as nothing was heard "
				    "from here for %u seconds: start again",
				    pd_repository_address(lease->repository), PD_BACKUP_LEASE_DEAD_S);
	return 0;
}

int pd_backup_lease_keep(struct pd_backup_lease *lease, struct pd_error *err)
{
	uint64_t now_ns = pd_os_monotonic_ns(lease->repository->os);
	int result;

	if (now_ns - lease->renewed_ns < PD_BACKUP_LEASE_RENEW_S * NS_PER_S)
		return 0;
	result = pd_backup_lease_prove(lease, err);
	if (result == 0)
		result = put(lease->repository, lease->epoch, lease->renewal + 1, err);
	if (result != 0 && result != PD_EXISTS)
		return result;
	lease->renewal++;
	lease->renewed_ns = now_ns;
	return pd_repository_each(lease->repository, PREFIX, remove_old, lease, err);
}

/* Whoever is told to end says that, but does not wait for long until somebody hears it. */
struct last_word {
	struct pd_os *os;
	struct pd_object_watch told;
	uint64_t until_ns; /* monotonic; 0: nobody has been told to end yet */
};

static bool say_on(void *context, uint64_t done_bytes)
{
	struct last_word *word = context;

	if (word->told.go_on == NULL || word->told.go_on(word->told.context, done_bytes))
		return true;
	if (word->until_ns == 0)
		word->until_ns = pd_os_monotonic_ns(word->os) + LAST_WORD_S * NS_PER_S;
	return pd_os_monotonic_ns(word->os) < word->until_ns;
}

void pd_backup_lease_end(struct pd_backup_lease *lease)
{
	struct pd_object_store *store;
	struct last_word word;
	char name[NAME_SIZE];

	if (lease->epoch == 0)
		return;
	store = lease->repository->store;
	word = (struct last_word){ .os = lease->repository->os, .told = store->watch };
	pd_object_store_watch(store, &(struct pd_object_watch){ say_on, &word });
	(void)snprintf(name, sizeof name, PREFIX "%010" PRIu64 "-ended", lease->epoch);
	(void)!pd_object_put_bytes(store, name, pd_slice_string(PD_VERSION "\n"), NULL, NULL);
	pd_object_store_watch(store, &word.told);
	lease->epoch = 0;
}
