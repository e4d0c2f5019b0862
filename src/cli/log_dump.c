/* `perdure log dump`: the records, one line each, with damage where it is. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/codec.h"
#include "cli/log_private.h"
#include "engine/engine.h"
#include "server/server.h"

struct given {
	const char *data, *from, *to, *actor, *key;
	uint64_t limit;
	bool values, json;
};

#define AT(field) offsetof(struct given, field)

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, AT(data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "from", "LSN", PD_OPTION_TEXT, AT(from), 0, 0,
	  "The first record to print: an LSN, or a bookmark such as\n"
	  "0000-0000000001-0000000000000007 (hexadecimal: shard, epoch, LSN)." },
	{ "to", "LSN", PD_OPTION_TEXT, AT(to), 0, 0, "The last one: an LSN or a bookmark." },
	{ "actor", "NAME", PD_OPTION_TEXT, AT(actor), 0, 0,
	  "Only what was done to this actor: NAME, or TENANT/NAME." },
	{ "key", "GLOB", PD_OPTION_TEXT, AT(key), 0, 0,
	  "Only what was done to keys that match, such as 'cart:*'; a hash's fields go by its key." },
	{ "limit", "N", PD_OPTION_NUMBER, AT(limit), 1, 0, "Stop after N records." },
	{ "values", NULL, PD_OPTION_SWITCH, AT(values), 0, 0,
	  "Print values whole, not only their first 40 bytes." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json: an object a line." },
};

static const struct pd_options options = {
	.command = "perdure log dump",
	.synopsis = "perdure log dump [options]",
	.about = "Prints what is in the log, one record a line: bookmark, time, tenant/actor, who did it,\n"
		 "durability level, and what it did:\n"
		 "\n"
		 "  PUT key string 5 \"hello\"          a value, its type and size\n"
		 "  PUT {alice}h[f] field 1 \"1\"       a field of a hash, of the actor alice\n"
		 "  DEL key                           a key or a field is gone\n"
		 "  DELRANGE h[*]                     all fields of a hash; {alice}*: all of an actor\n"
		 "  PUT blob 7[0] chunk 65536 \"...\"   a part of a large string; its key names blob 7\n"
		 "  NOTE actor alice 2                the engine's own: here, a name for actor id 2\n"
		 "\n"
		 "An epoch (each start of a server begins one) has a line of its own, and so has damage,\n"
		 "where it is.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure log dump --limit 20\n"
		 "  perdure log dump --actor alice --key 'cart:*' --values\n"
		 "  perdure log dump --from 1000 --to 2000 -o json | jq .effects\n"
		 "\n"
		 "In JSON each object has \"kind\": record, epoch or damage. Names, keys and values are "
		 "strings,\n"
		 "or {\"base64\": \"...\"} where they are not UTF-8; a long value is a \"preview\" without "
		 "--values.\n"
		 "\n" PD_CLI_LOG_EXIT_STATUSES,
};

/* An LSN, alone or in its epoch. */
struct moment {
	uint64_t lsn, epoch; /* epoch 0: whichever */
};

struct dump {
	struct pd_cli_log_source source;
	struct pd_cli_log_names names;
	struct pd_output output;
	const struct given *given;
	struct moment from, to;
	uint64_t printed;
};

static bool parse_moment(const char *name, const char *text, struct moment *ret_moment)
{
	int64_t number;
	uint32_t shard;

	if (text == NULL)
		return true;
	ret_moment->epoch = 0;
	if (pd_slice_to_int64(pd_slice_string(text), &number) && number >= 0) {
		ret_moment->lsn = (uint64_t)number;
		return true;
	}
	if (pd_bookmark_parse(pd_slice_string(text), &shard, &ret_moment->epoch, &ret_moment->lsn) == 0 &&
	    shard == 0)
		return true;
	(void)pd_options_wrong(&options, "--%s is an LSN or a bookmark, not \"%s\"", name, text);
	return false;
}

static bool in_range(const struct dump *dump, uint64_t epoch, uint64_t lsn)
{
	const struct moment *from = &dump->from, *to = &dump->to;

	if (from->epoch != 0 && epoch != from->epoch ? epoch < from->epoch : lsn < from->lsn)
		return false;
	return to->epoch != 0 && epoch != to->epoch ? epoch < to->epoch : lsn <= to->lsn;
}

/* ---- one record ---- */

static void print_who(struct dump *dump, const struct pd_record_head *head)
{
	const struct pd_cli_log_client *client = pd_cli_log_names_client(&dump->names, head->client);

	if (head->client == 0) {
		pd_output_text(&dump->output, "server");
		return;
	}
	if (client != NULL && client->principal_size > 0) {
		pd_output_word(&dump->output, pd_slice(client->principal, client->principal_size));
		pd_output_text(&dump->output, "@");
	}
	if (client != NULL && client->text_size > 0)
		pd_output_word(&dump->output, pd_slice(client->text, client->text_size));
	pd_output_text(&dump->output, "#%" PRIu64, head->client);
}

static void print_optional(struct dump *dump, const char *name, struct pd_slice value)
{
	if (value.size == 0)
		return;
	pd_output_text(&dump->output, " %s=", name);
	pd_output_word(&dump->output, value);
}

/* A record is about the first actor of its effects that is not the engine. */
static void subject(const struct pd_record *record, uint64_t *ret_tenant, uint64_t *ret_actor)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;

	*ret_tenant = record->head.tenant;
	*ret_actor = record->head.actor;
	pd_effect_walk_init(&walk, record);
	while (*ret_actor == 0 && pd_effect_next(&walk, &effect) == 0) {
		*ret_tenant = effect.tenant;
		*ret_actor = effect.actor;
	}
}

static void print_record(struct dump *dump, const struct pd_record *record)
{
	struct pd_output *output = &dump->output;
	const struct given *given = dump->given;
	char bookmark[PD_BOOKMARK_SIZE];
	struct pd_effect_walk walk;
	struct pd_effect effect;
	uint64_t tenant, actor;
	bool any = false;

	pd_bookmark_format(0, record->epoch, record->lsn, bookmark);
	pd_output_text(output, "%s ", bookmark);
	pd_output_time(output, record->head.time_us);
	subject(record, &tenant, &actor);
	pd_output_text(output, " ");
	pd_cli_log_names_print(&dump->names, output, tenant, actor);
	pd_output_text(output, " ");
	print_who(dump, &record->head);
	pd_output_text(output, " %s", pd_level_name(record->head.level));
	print_optional(dump, "request", record->head.request_id);
	print_optional(dump, "idempotency", record->head.idempotency_key);
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		if (!pd_cli_log_effect_wanted(&dump->names, &effect, given->actor, given->key))
			continue;
		pd_output_text(output, any ? "; " : ": ");
		pd_cli_log_effect_print(&dump->names, output, &effect, given->values);
		any = true;
	}
	pd_output_text(output, "\n");
}

static void record_object(struct dump *dump, const struct pd_log_sight *sight)
{
	struct pd_output *output = &dump->output;
	const struct given *given = dump->given;
	const struct pd_record *record = &sight->record;
	struct pd_effect_walk walk;
	struct pd_effect effect;
	uint64_t tenant, actor;

	subject(record, &tenant, &actor);
	pd_cli_log_record_fields(&dump->names, output, record, tenant, actor);
	pd_output_number_field(output, "segment", sight->segment);
	pd_output_number_field(output, "bytes", record->bytes.size);
	pd_output_open(output, "effects", '[');
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0)
		if (pd_cli_log_effect_wanted(&dump->names, &effect, given->actor, given->key))
			pd_cli_log_effect_fields(&dump->names, output, &effect, given->values);
	pd_output_close(output, ']');
}

static void print_epoch(struct dump *dump, const struct pd_record *record)
{
	pd_output_text(&dump->output, "epoch %" PRIu64 " began", record->epoch);
	if (record->head.old_epoch != 0)
		pd_output_text(&dump->output, " after epoch %" PRIu64 "'s LSN %" PRIu64,
			       record->head.old_epoch, record->head.old_last_lsn);
	pd_output_text(&dump->output, ", with LSN %" PRIu64 ", ", record->lsn);
	pd_output_time(&dump->output, record->head.time_us);
	pd_output_text(&dump->output, "\n");
}

static void epoch_object(struct dump *dump, const struct pd_record *record)
{
	struct pd_output *output = &dump->output;

	pd_output_number_field(output, "epoch", record->epoch);
	pd_output_number_field(output, "lsn", record->lsn);
	pd_output_number_field(output, "old_epoch", record->head.old_epoch);
	pd_output_number_field(output, "old_last_lsn", record->head.old_last_lsn);
	pd_output_time_field(output, "time", record->head.time_us);
}

/* ---- one sight ---- */

static bool record_wanted(const struct dump *dump, const struct pd_record *record)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;

	if (!in_range(dump, record->epoch, record->lsn))
		return false;
	if (dump->given->actor == NULL && dump->given->key == NULL)
		return true;
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0)
		if (pd_cli_log_effect_wanted(&dump->names, &effect, dump->given->actor, dump->given->key))
			return true;
	return false;
}

static void begin_object(struct dump *dump, const char *kind)
{
	pd_output_open(&dump->output, NULL, '{');
	pd_output_string_field(&dump->output, "kind", kind);
}

static void end_object(struct dump *dump)
{
	pd_output_close(&dump->output, '}');
	pd_output_end(&dump->output);
}

static void take_record(struct dump *dump, const struct pd_log_sight *sight)
{
	const struct pd_record *record = &sight->record;
	bool is_epoch = record->head.kind == PD_RECORD_EPOCH;

	pd_cli_log_names_learn(&dump->names, sight);
	if (is_epoch ? !in_range(dump, record->epoch, record->lsn) : !record_wanted(dump, record))
		return;
	if (dump->source.json) {
		begin_object(dump, is_epoch ? "epoch" : "record");
		if (is_epoch)
			epoch_object(dump, record);
		else
			record_object(dump, sight);
		end_object(dump);
	} else if (is_epoch) {
		print_epoch(dump, record);
	} else {
		print_record(dump, record);
	}
	dump->printed += !is_epoch;
}

static void take_damage(struct dump *dump, const struct pd_log_sight *sight)
{
	const struct pd_log_damage *damage = &sight->damage;
	uint64_t last = damage->last_lsn == 0 ? UINT64_MAX : damage->last_lsn;

	if (damage->first_lsn > dump->to.lsn || (last < dump->from.lsn && last >= damage->first_lsn))
		return;
	if (dump->source.json) {
		begin_object(dump, "damage");
		pd_cli_log_damage_fields(&dump->names, &dump->output, sight);
		end_object(dump);
	} else {
		pd_cli_log_damage_print(&dump->names, &dump->output, sight);
	}
}

static int dump_all(struct dump *dump)
{
	struct pd_log_sight sight;
	int result = 0;

	while (dump->printed < dump->given->limit &&
	       (result = pd_cli_log_source_next(&dump->source, &sight)) == 0) {
		if (sight.kind == PD_SIGHT_RECORD)
			take_record(dump, &sight);
		else if (sight.kind == PD_SIGHT_DAMAGE)
			take_damage(dump, &sight);
		if (sight.kind == PD_SIGHT_RECORD && dump->to.epoch == 0 && sight.record.lsn >= dump->to.lsn)
			break;
		if (dump->names.out_of_memory || ferror(dump->output.file))
			return PD_NO_MEMORY;
	}
	return result;
}

int pd_cli_log_dump_run(int argc, char **argv)
{
	struct given given = { .data = "./data", .limit = UINT64_MAX };
	struct dump dump = { .output = { .file = stdout }, .given = &given, .to = { .lsn = UINT64_MAX } };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	if (!parse_moment("from", given.from, &dump.from) || !parse_moment("to", given.to, &dump.to))
		return PD_EXIT_USAGE;
	pd_cli_log_names_init(&dump.names);
	status = pd_cli_log_source_open(&dump.source, &options, given.data, given.json, NULL);
	if (status == 0)
		status = pd_cli_log_source_status(&dump.source, dump_all(&dump));
	if (!pd_output_finish(&dump.output) && status == PD_EXIT_OK)
		status = PD_EXIT_FAILURE;
	pd_cli_log_names_done(&dump.names);
	pd_cli_log_source_close(&dump.source);
	return status;
}
