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
#define LINGERING_MAX   8    /* of one, whose clients may have gone */
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
	struct queue *queue;            /* NULL: it does not wait any more */
	struct pd_login *next, *before; /* in it */
	char address[ADDRESS_SIZE];
	struct pd_os_task *task; /* running */
	bool making, abandoned, delayed, lingers;
	struct pd_verifier verifier;
	size_t password_size;
	uint8_t password[PD_USER_PASSWORD_MAX];
	int result; /* the task's: see pd_verifier_check() */
	enum pd_login_state state;
};

/* Those of one address that wait, in the order in which they came; there is none without any. */
struct queue {
	char address[ADDRESS_SIZE];
	struct queue *next, *before; /* the first has the next turn */
	struct pd_login *first, *last;
	size_t waiting, lingering;
	bool undelayed; /* some have not been counted as delayed */
};

/* An address that has got passwords wrong. */
struct culprit {
	char address[ADDRESS_SIZE];
	unsigned failures;
	uint64_t last_ns, next_ns; /* the last failure; not before */
};

struct pd_logins {
	struct pd_os *os;
	struct queue *first, *last;
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

/* ---- who waits ---- */

static struct queue *find_queue(const struct pd_logins *logins, const char *host)
{
	struct queue *queue = logins->first;

	while (queue != NULL && strcmp(queue->address, host) != 0)
		queue = queue->next;
	return queue;
}

static void put_last(struct pd_logins *logins, struct queue *queue)
{
	queue->next = NULL;
	queue->before = logins->last;
	if (logins->last != NULL)
		logins->last->next = queue;
	else
		logins->first = queue;
	logins->last = queue;
}

static void take_out(struct pd_logins *logins, struct queue *queue)
{
	if (queue->before != NULL)
		queue->before->next = queue->next;
	else
		logins->first = queue->next;
	if (queue->next != NULL)
		queue->next->before = queue->before;
	else
		logins->last = queue->before;
}

/* PD_NO_MEMORY. */
static int enter(struct pd_logins *logins, struct pd_login *login)
{
	struct queue *queue = find_queue(logins, login->address);

	if (queue == NULL) {
		queue = pd_calloc(1, sizeof *queue);
		if (queue == NULL)
			return PD_NO_MEMORY;
		memcpy(queue->address, login->address, sizeof queue->address);
		put_last(logins, queue);
	}
	login->queue = queue;
	login->before = queue->last;
	if (queue->last != NULL)
		queue->last->next = login;
	else
		queue->first = login;
	queue->last = login;
	queue->waiting++;
	queue->undelayed = true;
	logins->waiting++;
	logins->fresh = true;
	return 0;
}

/* It waits no more; whoever comes after it moves up. */
static void leave(struct pd_login *login)
{
	struct pd_logins *logins = login->logins;
	struct queue *queue = login->queue;

	if (login->before != NULL)
		login->before->next = login->next;
	else
		queue->first = login->next;
	if (login->next != NULL)
		login->next->before = login->before;
	else
		queue->last = login->before;
	login->queue = NULL;
	login->next = login->before = NULL;
	queue->lingering -= login->lingers;
	logins->waiting--;
	if (--queue->waiting > 0)
		return;
	take_out(logins, queue);
	pd_free(queue);
}

void pd_logins_free(struct pd_logins *logins)
{
	if (logins == NULL)
		return;
	while (logins->first != NULL) {
		struct pd_login *login = logins->first->first;

		leave(login);
		destroy(login);
	}
	for (size_t i = 0; i < RUNNING_MAX; i++) {
		if (logins->work[i] == NULL)
			continue;
		pd_os_task_join(logins->work[i]->task);
		destroy(logins->work[i]);
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

/* When may the next of them start? 0: now; UINT64_MAX: when another of its address has ended. */
static uint64_t start_ns(struct pd_logins *logins, const struct queue *queue)
{
	struct culprit *culprit;

	if (queue->first->making)
		return 0;
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (logins->work[i] != NULL && strcmp(logins->work[i]->address, queue->address) == 0)
			return UINT64_MAX;
	culprit = find_culprit(logins, queue->address);
	if (culprit == NULL || culprit->next_ns <= pd_os_monotonic_ns(logins->os))
		return 0;
	return culprit->next_ns;
}

/* ---- logins ---- */

/* What has become of it. */
static void end(struct pd_login *login, enum pd_login_state state)
{
	struct pd_logins *logins = login->logins;

	if (login->queue != NULL)
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

/* A place for one more of this address: a free one, or one that is taken from the address with the most. */
static int find_place(struct pd_logins *logins, const char *host, struct pd_error *err)
{
	const struct queue *queue = find_queue(logins, host), *longest = NULL;
	size_t theirs = queue != NULL ? queue->waiting : 0;

	if (logins->waiting < WAITING_MAX && theirs < ADDRESS_WAITING)
		return 0;
	logins->stats.rejected++;
	for (queue = logins->first; queue != NULL && theirs < ADDRESS_WAITING; queue = queue->next)
		if (!queue->first->making && (longest == NULL || queue->waiting > longest->waiting))
			longest = queue;
	if (longest == NULL || longest->waiting <= theirs + 1)
		return pd_error_set(err, PD_BUSY, PD_LOGIN_BUSY_TEXT);
	end(longest->last, PD_LOGIN_CROWDED_OUT);
	return 0;
}

static int add(struct pd_logins *logins, const char *address, struct pd_slice password,
	       struct pd_login **ret_login, struct pd_error *err)
{
	char host[ADDRESS_SIZE];
	struct pd_login *login;
	int result;

	host_of(address, host);
	result = find_place(logins, host, err);
	if (result != 0)
		return result;
	login = pd_calloc(1, sizeof *login);
	if (login == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a login");
	login->logins = logins;
	memcpy(login->address, host, sizeof host);
	/* No password is longer; what is, is none. */
	login->password_size = password.size <= PD_USER_PASSWORD_MAX ? password.size : 0;
	if (login->password_size > 0)
		memcpy(login->password, password.data, login->password_size);
	if (enter(logins, login) != 0) {
		destroy(login);
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a login");
	}
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

bool pd_login_lingers(struct pd_login *login)
{
	struct queue *queue = login->queue;

	if (queue == NULL || login->lingers)
		return true;
	if (queue->lingering >= LINGERING_MAX)
		return false;
	login->lingers = true;
	queue->lingering++;
	return true;
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
	if (login->queue != NULL)
		leave(login);
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
	leave(login);
	if (pd_os_task_start(logins->os, work, login, &login->task, &err) != 0) {
		end(login, PD_LOGIN_FAILED);
		return;
	}
	logins->work[place] = login;
	logins->running++;
}

static void count_delayed(struct pd_logins *logins, struct queue *queue)
{
	if (!queue->undelayed)
		return;
	queue->undelayed = false;
	for (struct pd_login *login = queue->first; login != NULL; login = login->next) {
		logins->stats.delayed += !login->delayed;
		login->delayed = true;
	}
}

/* The next of this address, if it may start. */
static bool give_turn(struct pd_logins *logins, struct queue *queue)
{
	uint64_t start_at = start_ns(logins, queue);

	if (start_at == 0) {
		take_out(logins, queue);
		put_last(logins, queue);
		start(logins, queue->first);
		return true;
	}
	if (start_at != UINT64_MAX)
		count_delayed(logins, queue);
	return false;
}

/* Every address, once: who has had its turn is behind the one that is the last now. Has any started? */
static bool give_turns(struct pd_logins *logins)
{
	struct queue *last = logins->last, *next;
	bool any = false;

	for (struct queue *queue = logins->first; queue != NULL && logins->running < RUNNING_MAX;
	     queue = next) {
		next = queue != last ? queue->next : NULL;
		any = give_turn(logins, queue) || any;
	}
	return any;
}

void pd_logins_step(struct pd_logins *logins)
{
	bool any = true;
	uint64_t now;

	if (logins->waiting == 0 && logins->running == 0)
		return;
	collect(logins);
	now = pd_os_monotonic_ns(logins->os);
	if (!logins->fresh && now < logins->look_ns)
		return;
	logins->fresh = false;
	logins->look_ns = now + 10 * LOOK_US * 1000;
	while (any && logins->running < RUNNING_MAX)
		any = give_turns(logins);
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
