#include "security/login.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "os/os.h"

#define RUNNING_MAX     2    /* at once: 24 MiB, and two cores at the most */
#define WAITING_MAX     4096 /* of all addresses */
#define ADDRESS_WAITING 1024 /* of one */
#define CULPRIT_SETS    64   /* of addresses that have got passwords wrong lately, by hash … */
#define CULPRIT_WAYS    4    /* … and how many each remembers */
#define ADDRESS_SIZE    64
#define FREE_FAILURES   3
#define DELAY_FIRST_NS  UINT64_C(100000000)
#define DELAY_MAX_NS    UINT64_C(5000000000)
#define FORGET_NS       UINT64_C(10000000000) /* one failure */
#define LOOK_US         1000                  /* how often a task is asked whether it has ended */

struct pd_login {
	struct pd_logins *logins;
	struct pd_login *next; /* in the order in which they came */
	char address[ADDRESS_SIZE];
	struct pd_os_task *task; /* running */
	bool making, abandoned, delayed;
	struct pd_verifier verifier;
	size_t password_size;
	uint8_t password[PD_USER_PASSWORD_MAX];
	int result; /* the task's: see pd_verifier_check() */
	enum pd_login_state state;
};

/* An address that has got passwords wrong. */
struct culprit {
	char address[ADDRESS_SIZE];
	unsigned failures;
	uint64_t last_ns, next_ns; /* the last failure; not before */
};

struct pd_logins {
	struct pd_os *os;
	struct pd_login *first, *last; /* pending ones, running ones among them */
	size_t waiting, running;
	struct pd_login_stats stats;
	struct pd_login *work[RUNNING_MAX]; /* NULL: free */
	bool fresh;                         /* there is something new to start */
	uint64_t look_ns;                   /* else not before */
	uint64_t hash_seed;
	struct culprit culprits[CULPRIT_SETS][CULPRIT_WAYS];
	struct pd_verifier nobody; /* what the password of a user is checked against who is not there */
};

struct pd_logins *pd_logins_new(struct pd_os *os)
{
	struct pd_logins *logins = pd_calloc(1, sizeof *logins);

	if (logins == NULL)
		return NULL;
	logins->os = os;
	logins->nobody.cost = PD_PASSWORD_COST_DEFAULT;
	pd_os_random(os, &logins->hash_seed, sizeof logins->hash_seed);
	pd_os_random(os, logins->nobody.salt, sizeof logins->nobody.salt);
	pd_os_random(os, logins->nobody.hash, sizeof logins->nobody.hash);
	return logins;
}

static void destroy(struct pd_login *login)
{
	pd_crypto_wipe(login, sizeof *login);
	pd_free(login);
}

void pd_logins_free(struct pd_logins *logins)
{
	if (logins == NULL)
		return;
	while (logins->first != NULL) {
		struct pd_login *login = logins->first;

		logins->first = login->next;
		pd_os_task_join(login->task);
		destroy(login);
	}
	pd_free(logins);
}

/* ---- addresses ---- */

/* Without the port, which every connection has another of. */
static void host_of(const char *address, char host[ADDRESS_SIZE])
{
	const char *colon = strrchr(address, ':');
	size_t size = colon != NULL ? (size_t)(colon - address) : strlen(address);

	(void)snprintf(host, ADDRESS_SIZE, "%.*s", (int)size, address);
}

static struct culprit *set_of(struct pd_logins *logins, const char *host)
{
	return logins->culprits[pd_hash64(pd_slice_string(host), logins->hash_seed) % CULPRIT_SETS];
}

static struct culprit *find_culprit(struct pd_logins *logins, const char *host)
{
	struct culprit *set = set_of(logins, host);

	for (size_t i = 0; i < CULPRIT_WAYS; i++)
		if (set[i].failures > 0 && strcmp(set[i].address, host) == 0)
			return set + i;
	return NULL;
}

static void forgive(struct culprit *culprit, uint64_t now_ns)
{
	while (culprit->failures > 0 && now_ns - culprit->last_ns >= FORGET_NS) {
		culprit->failures--;
		culprit->last_ns += FORGET_NS;
	}
}

static void blame(struct pd_logins *logins, const char *host)
{
	uint64_t now = pd_os_monotonic_ns(logins->os), delay = DELAY_FIRST_NS;
	struct culprit *culprit = find_culprit(logins, host);

	/* A new one takes the place of whoever has been good for longest. */
	if (culprit == NULL) {
		struct culprit *set = set_of(logins, host);

		culprit = set;
		for (size_t i = 1; i < CULPRIT_WAYS; i++)
			if (set[i].last_ns < culprit->last_ns)
				culprit = set + i;
	}
	if (strcmp(culprit->address, host) != 0)
		*culprit = (struct culprit){ 0 };
	(void)snprintf(culprit->address, sizeof culprit->address, "%s", host);
	forgive(culprit, now);
	culprit->last_ns = now;
	culprit->failures++;
	if (culprit->failures <= FREE_FAILURES)
		return;
	for (unsigned i = FREE_FAILURES + 1; i < culprit->failures && delay < DELAY_MAX_NS; i++)
		delay *= 2;
	culprit->next_ns = now + (delay < DELAY_MAX_NS ? delay : DELAY_MAX_NS);
}

/* When may it start? 0: now; UINT64_MAX: when another of its address has ended. */
static uint64_t start_ns(struct pd_logins *logins, const struct pd_login *login)
{
	struct culprit *culprit;

	for (size_t i = 0; i < RUNNING_MAX && !login->making; i++)
		if (logins->work[i] != NULL && strcmp(logins->work[i]->address, login->address) == 0)
			return UINT64_MAX;
	culprit = find_culprit(logins, login->address);
	if (culprit == NULL || login->making || culprit->next_ns <= pd_os_monotonic_ns(logins->os))
		return 0;
	return culprit->next_ns;
}

/* ---- logins ---- */

static int add(struct pd_logins *logins, const char *address, struct pd_slice password,
	       struct pd_login **ret_login, struct pd_error *err)
{
	char host[ADDRESS_SIZE];
	struct pd_login *login;
	size_t theirs = 0;

	host_of(address, host);
	for (login = logins->first; login != NULL; login = login->next)
		theirs += strcmp(login->address, host) == 0;
	if (logins->waiting >= WAITING_MAX || theirs >= ADDRESS_WAITING) {
		logins->stats.rejected++;
		return pd_error_set(err, PD_BUSY, "too many logins wait already; try again later");
	}
	login = pd_calloc(1, sizeof *login);
	if (login == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a login");
	login->logins = logins;
	memcpy(login->address, host, sizeof host);
	/* No password is longer; what is, is none. */
	login->password_size = password.size <= PD_USER_PASSWORD_MAX ? password.size : 0;
	if (login->password_size > 0)
		memcpy(login->password, password.data, login->password_size);
	if (logins->last != NULL)
		logins->last->next = login;
	else
		logins->first = login;
	logins->last = login;
	logins->waiting++;
	logins->fresh = true;
	*ret_login = login;
	return 0;
}

int pd_logins_verify(struct pd_logins *logins, const char *address, const struct pd_verifier *verifier,
		     struct pd_slice password, struct pd_login **ret_login, struct pd_error *err)
{
	int result = add(logins, address, password, ret_login, err);

	if (result == 0)
		(*ret_login)->verifier = verifier != NULL ? *verifier : logins->nobody;
	return result;
}

int pd_logins_make(struct pd_logins *logins, struct pd_slice password, struct pd_login **ret_login,
		   struct pd_error *err)
{
	struct pd_login *login = NULL;
	int result = add(logins, "", password, &login, err);

	if (result != 0)
		return result;
	login->making = true;
	pd_os_random(logins->os, login->verifier.salt, sizeof login->verifier.salt);
	pd_os_random(logins->os, login->verifier.scram_salt, sizeof login->verifier.scram_salt);
	*ret_login = login;
	return 0;
}

enum pd_login_state pd_login_state(const struct pd_login *login)
{
	return login->state;
}

bool pd_login_was_for(const struct pd_login *login, const struct pd_verifier *verifier)
{
	return pd_crypto_equal(login->verifier.hash, verifier->hash, sizeof verifier->hash);
}

const struct pd_verifier *pd_login_verifier(const struct pd_login *login)
{
	PD_ASSERT(login->making && login->state == PD_LOGIN_ACCEPTED);
	return &login->verifier;
}

/* Out of the list of those that are pending. */
static void leave(struct pd_login *login)
{
	struct pd_logins *logins = login->logins;
	struct pd_login *before = NULL;

	for (struct pd_login *other = logins->first; other != login; other = other->next) {
		PD_ASSERT(other != NULL);
		before = other;
	}
	if (before != NULL)
		before->next = login->next;
	else
		logins->first = login->next;
	if (logins->last == login)
		logins->last = before;
	login->next = NULL;
}

void pd_login_free(struct pd_login *login)
{
	if (login == NULL)
		return;
	if (login->state == PD_LOGIN_PENDING && login->task != NULL) {
		/* Its task has it; what comes of it still counts. */
		login->abandoned = true;
		return;
	}
	if (login->state == PD_LOGIN_PENDING) {
		leave(login);
		login->logins->waiting--;
	}
	destroy(login);
}

/* ---- the work ---- */

static void work(void *argument)
{
	struct pd_login *login = argument;
	struct pd_slice password = pd_slice(login->password, login->password_size);

	if (login->making)
		login->result = pd_verifier_make(&login->verifier, password) == 0 ? 1 : PD_NO_MEMORY;
	else
		login->result = pd_verifier_check(&login->verifier, password);
}

static void end(struct pd_login *login, enum pd_login_state state)
{
	struct pd_logins *logins = login->logins;

	leave(login);
	pd_crypto_wipe(login->password, sizeof login->password);
	login->state = state;
	if (!login->making) {
		logins->stats.accepted += state == PD_LOGIN_ACCEPTED;
		logins->stats.refused += state == PD_LOGIN_REFUSED;
		if (state == PD_LOGIN_REFUSED)
			blame(logins, login->address);
	}
	if (login->abandoned)
		destroy(login);
}

static void collect(struct pd_logins *logins)
{
	for (size_t i = 0; i < RUNNING_MAX; i++) {
		struct pd_login *login = logins->work[i];

		if (login == NULL || !pd_os_task_finished(login->task))
			continue;
		pd_os_task_join(login->task);
		login->task = NULL;
		logins->work[i] = NULL;
		logins->running--;
		logins->fresh = true;
		end(login, login->result == 1   ? PD_LOGIN_ACCEPTED
			   : login->result == 0 ? PD_LOGIN_REFUSED
						: PD_LOGIN_FAILED);
	}
}

static void start(struct pd_logins *logins, struct pd_login *login)
{
	struct pd_error err;
	size_t place = 0;

	while (logins->work[place] != NULL)
		place++;
	logins->waiting--;
	if (pd_os_task_start(logins->os, work, login, &login->task, &err) != 0) {
		end(login, PD_LOGIN_FAILED);
		return;
	}
	logins->work[place] = login;
	logins->running++;
}

void pd_logins_step(struct pd_logins *logins)
{
	struct pd_login *next;
	uint64_t now;

	if (logins->first == NULL)
		return;
	collect(logins);
	now = pd_os_monotonic_ns(logins->os);
	if (!logins->fresh && now < logins->look_ns)
		return;
	logins->fresh = false;
	logins->look_ns = now + 10 * LOOK_US * 1000;
	for (struct pd_login *login = logins->first;
	     login != NULL && logins->running < RUNNING_MAX && logins->waiting > 0; login = next) {
		uint64_t start_at;

		next = login->next;
		if (login->task != NULL)
			continue;
		start_at = start_ns(logins, login);
		if (start_at == 0) {
			start(logins, login);
		} else if (start_at != UINT64_MAX && !login->delayed) {
			login->delayed = true;
			logins->stats.delayed++;
		}
	}
}

int64_t pd_logins_timeout_us(const struct pd_logins *logins)
{
	/* A delay may be over at any of the addresses: looking is cheap, and only while somebody waits. */
	if (logins->running > 0)
		return LOOK_US;
	return logins->waiting > 0 ? 10 * LOOK_US : -1;
}

void pd_logins_stats(const struct pd_logins *logins, struct pd_login_stats *ret_stats)
{
	*ret_stats = logins->stats;
	ret_stats->waiting = logins->waiting;
	ret_stats->running = logins->running;
}
