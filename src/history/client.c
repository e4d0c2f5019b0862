#include "history/client.h"

#include "base/memory.h"
#include "history/history_private.h"

#define REMEMBERED 64u
#define TEXT_MAX   256u

struct client {
	uint64_t epoch, number;
	size_t segment;
	uint8_t principal[TEXT_MAX], text[TEXT_MAX];
	size_t principal_size, text_size;
};

struct pd_history_clients {
	struct pd_history *history;
	struct client known[REMEMBERED]; /* a ring */
	size_t next;
	struct pd_log_look_finds finds; /* all records of one segment */
	size_t loaded;                  /* which one; SIZE_MAX: none */
};

struct pd_history_clients *pd_history_clients_new(struct pd_history *history)
{
	struct pd_history_clients *clients = pd_calloc(1, sizeof *clients);

	if (clients == NULL)
		return NULL;
	clients->history = history;
	clients->loaded = SIZE_MAX;
	pd_log_look_finds_init(&clients->finds);
	return clients;
}

void pd_history_clients_free(struct pd_history_clients *clients)
{
	if (clients == NULL)
		return;
	pd_log_look_finds_done(&clients->finds);
	pd_free(clients);
}

static size_t keep(uint8_t to[TEXT_MAX], struct pd_slice text)
{
	size_t size = text.size < TEXT_MAX ? text.size : TEXT_MAX;

	if (size > 0)
		memcpy(to, text.data, size);
	return size;
}

static struct client *remember(struct pd_history_clients *clients, const struct pd_record *asked,
			       size_t segment)
{
	struct client *client = &clients->known[clients->next++ % REMEMBERED];

	*client = (struct client){ .epoch = asked->epoch, .number = asked->head.client, .segment = segment };
	return client;
}

static int load(struct pd_history_clients *clients, size_t segment, struct pd_error *err)
{
	struct pd_log_look_wish wish = { .to_lsn = clients->history->newest.lsn,
					 .actor = PD_LOOK_ALL_ACTORS };
	struct pd_log_look_segment info;
	int result;

	if (clients->loaded == segment)
		return 0;
	clients->loaded = SIZE_MAX;
	pd_log_look_segment(clients->history->look, segment, &info);
	result = pd_log_look_read(clients->history->look, segment, &wish, &clients->finds, err);
	if (result == 0)
		result = pd_history_step(clients->history, info.bytes, err);
	if (result == 0)
		clients->loaded = segment;
	return result;
}

static bool announces(const struct pd_record *record, const struct pd_record *asked)
{
	return record->epoch == asked->epoch && record->head.client == asked->head.client &&
	       (record->head.principal.size > 0 || record->head.client_text.size > 0);
}

/* Find the announcement before the record, in a segment that was loaded; the last one, since a client may change its name. */
static bool search(const struct pd_history_clients *clients, const struct pd_record *asked,
		   struct pd_record *ret_record)
{
	struct pd_log_damage damage;
	struct pd_record record;

	for (size_t i = clients->finds.count; i-- > 0;)
		if (pd_log_look_get(&clients->finds, i, &record, &damage, NULL) == 0 &&
		    record.lsn <= asked->lsn && announces(&record, asked)) {
			*ret_record = record;
			return true;
		}
	return false;
}

int pd_history_client(struct pd_history_clients *clients, const struct pd_record *record, size_t segment,
		      struct pd_slice *ret_principal, struct pd_slice *ret_text, struct pd_error *err)
{
	struct pd_record found = *record;
	struct client *client = NULL;
	bool known = announces(record, record);

	*ret_principal = record->head.principal;
	*ret_text = record->head.client_text;
	if (record->head.client == 0 || known)
		return 0;
	for (size_t i = 0; i < REMEMBERED && client == NULL; i++)
		if (clients->known[i].number == record->head.client &&
		    clients->known[i].epoch == record->epoch && clients->known[i].segment == segment)
			client = &clients->known[i];
	/* A group that was begun in the segment before may have come into this one. */
	for (size_t back = 0; client == NULL && !known && back < 2 && back <= segment; back++) {
		int result = load(clients, segment - back, err);

		if (result != 0)
			return result;
		known = search(clients, record, &found);
	}
	if (client == NULL) {
		client = remember(clients, record, segment);
		client->principal_size = known ? keep(client->principal, found.head.principal) : 0;
		client->text_size = known ? keep(client->text, found.head.client_text) : 0;
	}
	*ret_principal = pd_slice(client->principal, client->principal_size);
	*ret_text = pd_slice(client->text, client->text_size);
	return 0;
}
