/* Money moves between two actors, in threads that get in each other's way: all of it, or none of it.
 *
 *     ./bank [DIRECTORY [THREADS [TRANSFERS]]]
 *
 * A transfer reads both balances and writes both. If somebody else has changed one of them meanwhile, the transaction says
 * PERDURE_CONFLICT and is done again from its first read: nobody waits for a lock, and no money is made or lost. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <perdure.h>

#define ACCOUNTS    4
#define FIRST_MONEY 1000

struct teller {
	struct perdure *db;
	pthread_t thread;
	unsigned number, transfers, conflicts;
	int result;
	struct perdure_error err;
};

static struct perdure_bytes account(unsigned number, char name[32])
{
	(void)snprintf(name, 32, "account:%u", number % ACCOUNTS);
	return perdure_text(name);
}

static int get_balance(struct perdure_session *session, struct perdure_bytes actor, long *balance,
		       struct perdure_error *err)
{
	struct perdure_value value;
	int result = perdure_get(session, actor, perdure_text("balance"), &value, err);

	if (result != 0)
		return result;
	*balance = strtol(value.data, NULL, 10);
	perdure_free(value.data);
	return 0;
}

static int put_balance(struct perdure_session *session, struct perdure_bytes actor, long balance,
		       struct perdure_error *err)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%ld", balance);
	return perdure_put(session, actor, perdure_text("balance"), perdure_text(text), err);
}

/* Within a transaction. */
static int move(struct perdure_session *session, struct perdure_bytes from, struct perdure_bytes to,
		long amount, struct perdure_error *err)
{
	long of_from, of_to;
	int result = get_balance(session, from, &of_from, err);

	if (result == 0)
		result = get_balance(session, to, &of_to, err);
	if (result != 0 || of_from < amount)
		return result;
	result = put_balance(session, from, of_from - amount, err);
	return result == 0 ? put_balance(session, to, of_to + amount, err) : result;
}

static int transfer(struct teller *teller, struct perdure_session *session, unsigned round)
{
	char from_name[32], to_name[32];
	struct perdure_bytes from = account(teller->number + round, from_name);
	struct perdure_bytes to = account(teller->number + round + 1 + round % (ACCOUNTS - 1), to_name);
	int result;

	do {
		result = perdure_begin(session, NULL, &teller->err);
		if (result == 0)
			result = move(session, from, to, 1 + (long)(round % 7), &teller->err);
		if (result == 0)
			result = perdure_commit(session, NULL, &teller->err);
		perdure_rollback(session);
		teller->conflicts += result == PERDURE_CONFLICT;
	} while (result == PERDURE_CONFLICT);
	return result;
}

static void *work(void *argument)
{
	struct teller *teller = argument;
	struct perdure_session *session = NULL;
	unsigned round;

	teller->result = perdure_session_new(teller->db, NULL, &session, &teller->err);
	for (round = 0; teller->result == 0 && round < teller->transfers; round++)
		teller->result = transfer(teller, session, round);
	perdure_session_free(session);
	return NULL;
}

/* Everybody has money to begin with, once. */
static int open_accounts(struct perdure_session *session, struct perdure_error *err)
{
	struct perdure_transaction_options options = PERDURE_TRANSACTION_OPTIONS_INIT;
	char name[32];
	unsigned i;
	int result;

	options.idempotency_key = perdure_text("open accounts");
	result = perdure_begin(session, &options, err);
	for (i = 0; result == 0 && i < ACCOUNTS; i++)
		result = put_balance(session, account(i, name), FIRST_MONEY, err);
	return result == 0 ? perdure_commit(session, NULL, err) : result;
}

/* All balances of one moment. */
static int count_money(struct perdure_session *session, long *total, struct perdure_error *err)
{
	char name[32];
	unsigned i;
	long balance;
	int result = perdure_begin(session, NULL, err);

	*total = 0;
	for (i = 0; result == 0 && i < ACCOUNTS; i++) {
		result = get_balance(session, account(i, name), &balance, err);
		if (result == 0)
			*total += balance;
	}
	perdure_rollback(session);
	return result;
}

static int run_tellers(struct perdure *db, unsigned threads, unsigned transfers, struct perdure_error *err)
{
	struct teller *tellers = calloc(threads, sizeof *tellers);
	unsigned i, started = 0, conflicts = 0;
	int result = 0;

	for (i = 0; tellers != NULL && i < threads; i++) {
		tellers[i].db = db;
		tellers[i].number = i;
		tellers[i].transfers = transfers;
		if (pthread_create(&tellers[i].thread, NULL, work, &tellers[i]) != 0)
			break;
		started++;
	}
	for (i = 0; i < started; i++) {
		(void)pthread_join(tellers[i].thread, NULL);
		conflicts += tellers[i].conflicts;
		if (tellers[i].result != 0) {
			result = tellers[i].result;
			*err = tellers[i].err;
		}
	}
	free(tellers);
	printf("%u transfers by %u threads, %u of them done again after a conflict\n", started * transfers,
	       started, conflicts);
	return result;
}

int main(int argc, char **argv)
{
	const unsigned threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 4;
	const unsigned transfers = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 250;
	struct perdure *db = NULL;
	struct perdure_session *session = NULL;
	struct perdure_error err, closing;
	long total = 0;
	int result = perdure_open(argc > 1 ? argv[1] : "data", NULL, &db, &err);

	if (result == 0)
		result = perdure_session_new(db, NULL, &session, &err);
	if (result == 0)
		result = open_accounts(session, &err);
	if (result == 0)
		result = run_tellers(db, threads, transfers, &err);
	if (result == 0)
		result = count_money(session, &total, &err);
	perdure_session_free(session);
	if (perdure_close(db, &closing) != 0 && result == 0) {
		result = closing.code;
		err = closing;
	}
	if (result != 0) {
		fprintf(stderr, "%s: %s\n", perdure_code_name(result), err.text);
		return 1;
	}
	printf("there are %ld in all accounts together\n", total);
	return total == (long)ACCOUNTS * FIRST_MONEY ? 0 : 1;
}
