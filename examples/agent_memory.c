/* The memory of an agent that does its work step by step, and survives whatever happens to it.
 *
 *     ./agent_memory DIRECTORY [STEPS]
 *
 * Each step is done once, though the agent may be killed at any moment and started again: what it did, what it saw, and the
 * number of the step are one transaction under an idempotency key. Started again, the agent reads how far it has come and goes on.
 * Each step that is on stable storage is told in a line, so that a test may kill it and compare. */
#include <stdio.h>
#include <stdlib.h>

#include <perdure.h>

static const struct perdure_bytes actor = { "agent:7", 7 };

/* How far it has come: 0 at the first start. */
static int read_head(struct perdure_session *session, unsigned long *head, struct perdure_error *err)
{
	struct perdure_value value;
	int result = perdure_hash_get(session, actor, perdure_text("head"), perdure_text("step"), &value,
				      err);

	*head = 0;
	if (result == PERDURE_NOT_FOUND)
		return 0;
	if (result == 0) {
		*head = strtoul(value.data, NULL, 10);
		perdure_free(value.data);
	}
	return result;
}

static int remember(struct perdure_session *session, unsigned long step, struct perdure_receipt *receipt,
		    struct perdure_error *err)
{
	struct perdure_transaction_options options = PERDURE_TRANSACTION_OPTIONS_INIT;
	char key[64], number[32], command[64], output[64];
	int result;

	(void)snprintf(key, sizeof key, "step:%012lu", step);
	(void)snprintf(number, sizeof number, "%lu", step);
	(void)snprintf(command, sizeof command, "look behind door %lu", step);
	(void)snprintf(output, sizeof output, "there is door %lu", step + 1);
	options.idempotency_key = perdure_text(key);
	options.idempotency_request = perdure_text(command);
	result = perdure_begin(session, &options, err);
	if (result == 0)
		result = perdure_hash_set(session, actor, perdure_text(key), perdure_text("command"),
					  perdure_text(command), NULL, err);
	if (result == 0)
		result = perdure_hash_set(session, actor, perdure_text(key), perdure_text("output"),
					  perdure_text(output), NULL, err);
	if (result == 0)
		result = perdure_hash_set(session, actor, perdure_text("head"), perdure_text("step"),
					  perdure_text(number), NULL, err);
	if (result == 0)
		result = perdure_commit(session, receipt, err);
	return result;
}

/* Every step up to the head is there, and in order. */
static int check_history(struct perdure_session *session, unsigned long head, struct perdure_error *err)
{
	struct perdure_range range = PERDURE_RANGE_INIT;
	struct perdure_scan *scan;
	struct perdure_item item;
	unsigned long next = 1;
	char key[64];
	int result;

	range.prefix = perdure_text("step:");
	result = perdure_scan_keys(session, actor, &range, &scan, err);
	if (result != 0)
		return result;
	while ((result = perdure_scan_next(scan, &item, err)) == 0) {
		(void)snprintf(key, sizeof key, "step:%012lu", next++);
		if (item.key.size != strlen(key) || memcmp(item.key.data, key, item.key.size) != 0) {
			err->code = PERDURE_CORRUPT;
			(void)snprintf(err->text, sizeof err->text, "%s is not in the memory", key);
			result = err->code;
			break;
		}
	}
	perdure_scan_free(scan);
	if (result == PERDURE_END && next != head + 1) {
		err->code = PERDURE_CORRUPT;
		(void)snprintf(err->text, sizeof err->text, "the head is at %lu, the memory ends at %lu",
			       head, next - 1);
		return err->code;
	}
	return result == PERDURE_END ? 0 : result;
}

static int live(struct perdure_session *session, unsigned long steps, struct perdure_error *err)
{
	struct perdure_receipt receipt;
	unsigned long head;
	int result = read_head(session, &head, err);

	if (result == 0)
		result = check_history(session, head, err);
	if (result == 0)
		printf("at step %lu, nothing is missing\n", head);
	for (; result == 0 && steps > 0; steps--) {
		result = remember(session, ++head, &receipt, err);
		if (result != 0)
			break;
		printf("step %lu %s\n", head, receipt.bookmark);
		(void)fflush(stdout);
	}
	return result;
}

int main(int argc, char **argv)
{
	const unsigned long steps = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
	struct perdure *db = NULL;
	struct perdure_session *session = NULL;
	struct perdure_error err;
	int result;

	if (argc < 2) {
		fprintf(stderr, "usage: %s DIRECTORY [STEPS]\n", argv[0]);
		return 2;
	}
	result = perdure_open(argv[1], NULL, &db, &err);
	if (result == 0)
		result = perdure_session_new(db, NULL, &session, &err);
	if (result == 0)
		result = live(session, steps, &err);
	perdure_session_free(session);
	if (result != 0)
		fprintf(stderr, "%s: %s\n", perdure_code_name(result), err.text);
	if (perdure_close(db, &err) != 0 && result == 0) {
		result = err.code;
		fprintf(stderr, "%s: %s\n", perdure_code_name(result), err.text);
	}
	return result != 0;
}
