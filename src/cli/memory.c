/* `perdure memory`: what takes how much memory in a server, and what it may take. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/admin.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "server/server.h"
#include "wire/resp.h"

struct given {
	const char *data;
	bool json;
};

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct given, json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure memory",
	.synopsis = "perdure memory [options]",
	.about = "Asks the server of a data directory what takes how much memory: each part with the limit "
		 "that\n"
		 "the memory budget gives it, all parts together, and what the process really holds.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure memory --data /var/lib/perdure\n"
		 "  perdure memory -o json | jq '.parts[] | select(.limit > 0) | {name, share: (.bytes / "
		 ".limit)}'\n"
		 "\n"
		 "Exit status:\n"
		 "  0  done\n"
		 "  1  no server is running on the directory\n"
		 "  2  the command line is wrong",
};

/* One part of the map of parts, which `rest` begins with. */
struct part {
	struct pd_slice name;
	uint64_t bytes, limit;
};

static struct part read_part(struct pd_slice *rest)
{
	struct part part = { .name = pd_reply_read(rest).text };

	part.bytes = pd_admin_number(*rest, "bytes");
	part.limit = pd_admin_number(*rest, "limit");
	pd_reply_skip(rest);
	return part;
}

/* Call `each` for every part. */
static void each_part(struct pd_slice reply, struct pd_output *output,
		      void (*each)(struct pd_output *output, const struct part *part))
{
	struct pd_slice rest;
	struct pd_reply list;

	if (!pd_reply_field(reply, "parts", &rest))
		return;
	list = pd_reply_read(&rest);
	for (size_t i = 0; list.kind == PD_REPLY_LIST && i + 1 < list.count; i += 2) {
		struct part part = read_part(&rest);

		each(output, &part);
	}
}

/* ---- text ---- */

static void print_mib(struct pd_output *output, uint64_t bytes)
{
	pd_output_text(output, "%12.1f MiB", (double)bytes / (1024 * 1024));
}

static void print_part(struct pd_output *output, const struct part *part)
{
	pd_output_text(output, "%-20.*s", (int)part->name.size, (const char *)part->name.data);
	print_mib(output, part->bytes);
	if (part->limit > 0)
		print_mib(output, part->limit);
	pd_output_text(output, "\n");
}

static void print_line(struct pd_output *output, const char *name, uint64_t bytes, uint64_t limit)
{
	const struct part part = { .name = pd_slice_string(name), .bytes = bytes, .limit = limit };

	print_part(output, &part);
}

static void print_text(struct pd_output *output, struct pd_slice reply)
{
	uint64_t budget = pd_admin_number(reply, "budget");

	pd_output_text(output, "%-20s%16s%16s\n", "part", "in use", "limit");
	each_part(reply, output, print_part);
	print_line(output, "all parts", pd_admin_number(reply, "used"), 0);
	print_line(output, "process", pd_admin_number(reply, "resident"), budget);
	if (budget == 0)
		pd_output_text(output, "no memory budget\n");
}

/* ---- JSON ---- */

static void part_fields(struct pd_output *output, const struct part *part)
{
	pd_output_open(output, NULL, '{');
	pd_output_bytes_field(output, "name", part->name);
	pd_output_number_field(output, "bytes", part->bytes);
	pd_output_number_field(output, "limit", part->limit);
	pd_output_close(output, '}');
}

static void print_json(struct pd_output *output, struct pd_slice reply)
{
	pd_output_open(output, NULL, '{');
	pd_output_number_field(output, "budget", pd_admin_number(reply, "budget"));
	pd_output_number_field(output, "used", pd_admin_number(reply, "used"));
	pd_output_number_field(output, "resident", pd_admin_number(reply, "resident"));
	pd_output_open(output, "parts", '[');
	each_part(reply, output, part_fields);
	pd_output_close(output, ']');
	pd_output_close(output, '}');
	pd_output_end(output);
}

static int run(int argc, char **argv)
{
	static const char *const command[] = { "PD.MEMORY", NULL };
	struct pd_output output = { .file = stdout };
	struct given given = { .data = "./data" };
	struct pd_slice reply;
	struct pd_admin admin;
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	status = pd_admin_begin(&admin, &options, given.data, command, &reply);
	if (status == PD_EXIT_OK) {
		if (given.json)
			print_json(&output, reply);
		else
			print_text(&output, reply);
		status = pd_output_finish(&output) ? PD_EXIT_OK : PD_EXIT_FAILURE;
	}
	pd_admin_end(&admin);
	return status;
}

const struct pd_subcommand pd_subcommand_memory = { "memory", "what takes how much memory in a server", run };
