/* What a record says of itself: which it is, when it was, who wrote it. */
#include "cli/log_private.h"
#include "engine/engine.h"
#include "log/level.h"

static void who_fields(const struct pd_cli_log_names *names, struct pd_output *output,
		       const struct pd_record_head *head)
{
	const struct pd_cli_log_client *client = pd_cli_log_names_client(names, head->client);

	pd_output_number_field(output, "client", head->client);
	if (client != NULL && client->principal_size > 0)
		pd_output_bytes_field(output, "principal",
				      pd_slice(client->principal, client->principal_size));
	if (client != NULL && client->text_size > 0)
		pd_output_bytes_field(output, "client_text", pd_slice(client->text, client->text_size));
}

void pd_cli_log_record_fields(const struct pd_cli_log_names *names, struct pd_output *output,
			      const struct pd_record *record, uint64_t tenant, uint64_t actor)
{
	const struct pd_record_head *head = &record->head;
	char bookmark[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, record->epoch, record->lsn, bookmark);
	pd_output_string_field(output, "bookmark", bookmark);
	pd_output_number_field(output, "epoch", record->epoch);
	pd_output_number_field(output, "lsn", record->lsn);
	pd_output_time_field(output, "time", head->time_us);
	pd_output_number_field(output, "time_us", head->time_us);
	pd_cli_log_names_fields(names, output, tenant, actor);
	who_fields(names, output, head);
	pd_output_string_field(output, "level", pd_level_name(head->level));
	if (head->request_id.size > 0)
		pd_output_bytes_field(output, "request_id", head->request_id);
	if (head->idempotency_key.size > 0)
		pd_output_bytes_field(output, "idempotency_key", head->idempotency_key);
}
