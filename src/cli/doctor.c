/* `perdure doctor`: what endangers the data, or will make the first night a long one. */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/doctor_private.h"
#include "cli/options.h"
#include "cli/output.h"
#include "engine/budget.h"
#include "server/server.h"

#define RETENTION_DEFAULT (UINT64_C(10) << 30)

struct given {
	const char *data;
	bool json, problems_only;
};

static const struct pd_option table[] = {
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,
	  "Directory of the data (default: PERDURE_DATA, else ./data); it may not be there yet." },
	{ "problems", NULL, PD_OPTION_SWITCH, offsetof(struct given, problems_only), 0, 0,
	  "Print what is wrong only, not what is well." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct given, json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure doctor",
	.synopsis = "perdure doctor [options]",
	.about = "Examines a data directory, the disk and the machine below it, and the server on it if one "
		 "runs:\n"
		 "how fast and how honestly the disk syncs, what the file system and its options do to data, "
		 "room,\n"
		 "limits, memory, permissions, the clock, leftovers, format versions, settings. Each finding "
		 "says\n"
		 "how bad it is and what to do. It changes nothing: a small file is written in the directory "
		 "and\n"
		 "removed again, to measure the disk.\n"
		 "\n"
		 "  ok       as it should be\n"
		 "  note     worth knowing; nothing has to be done\n"
		 "  warning  it will be slow, or fail some day\n"
		 "  DANGER   data are in danger, or no server can work like this",
	.table = table,
	.count = sizeof table / sizeof *table,
	.environment_count = 1, /* PERDURE_DATA */
	.after = "Examples:\n"
		 "  perdure doctor --data /var/lib/perdure\n"
		 "  perdure doctor --problems || echo 'look at this first'\n"
		 "  perdure doctor -o json | jq '.findings[] | select(.severity != \"ok\")'\n"
		 "\n"
		 "Exit status:\n"
		 "  0  nothing is wrong: ok and notes only\n"
		 "  1  there are warnings\n"
		 "  2  there is danger, or the command line is wrong (then nothing is on standard output)",
};

/* ---- findings ---- */

void pd_doctor_found(struct pd_doctor *doctor, enum pd_doctor_severity severity, const char *check,
		     const char *format, ...)
{
	struct pd_doctor_finding *finding;
	va_list arguments;

	if (doctor->count == PD_DOCTOR_FINDINGS_MAX)
		return;
	finding = doctor->findings + doctor->count++;
	*finding = (struct pd_doctor_finding){ .check = check, .severity = severity };
	va_start(arguments, format);
	(void)vsnprintf(finding->text, sizeof finding->text, format, arguments);
	va_end(arguments);
}

void pd_doctor_fix(struct pd_doctor *doctor, const char *format, ...)
{
	struct pd_doctor_finding *finding = doctor->findings + doctor->count - 1;
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(finding->fix, sizeof finding->fix, format, arguments);
	va_end(arguments);
}

bool pd_doctor_read(const struct pd_doctor *doctor, const char *path, char *text, size_t size)
{
	struct pd_os_file *file;
	size_t got = 0;
	int result = pd_os_open(doctor->os, path, PD_OS_READ, &file, NULL);

	if (result != 0)
		return false;
	result = pd_os_read(file, text, size - 1, 0, &got, NULL);
	pd_os_close(file);
	if (result != 0)
		return false;
	while (got > 0 && (text[got - 1] == '\n' || text[got - 1] == ' '))
		got--;
	text[got] = '\0';
	return true;
}

/* ---- the report ---- */

static const char *severity_name(enum pd_doctor_severity severity)
{
	static const char *const names[] = { "ok", "note", "warning", "danger" };

	return names[severity];
}

static enum pd_doctor_severity worst_of(const struct pd_doctor *doctor)
{
	enum pd_doctor_severity worst = PD_DOCTOR_OK;

	for (size_t i = 0; i < doctor->count; i++)
		worst = doctor->findings[i].severity > worst ? doctor->findings[i].severity : worst;
	return worst;
}

static unsigned count_of(const struct pd_doctor *doctor, enum pd_doctor_severity severity)
{
	unsigned count = 0;

	for (size_t i = 0; i < doctor->count; i++)
		count += doctor->findings[i].severity == severity;
	return count;
}

/* With a colour where that helps. */
static void print_severity(struct pd_output *output, enum pd_doctor_severity severity, bool colour)
{
	static const char *const words[] = { "ok", "note", "warning", "DANGER" };
	static const char *const colours[] = { "\033[32m", "\033[36m", "\033[33m", "\033[1;31m" };

	pd_output_text(output, "%s%-8s%s", colour ? colours[severity] : "", words[severity],
		       colour ? "\033[0m" : "");
}

static void print_text(struct pd_output *output, const struct pd_doctor *doctor, bool problems_only)
{
	bool colour = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
	unsigned dangers = count_of(doctor, PD_DOCTOR_DANGER), warnings = count_of(doctor, PD_DOCTOR_WARNING);

	for (size_t i = 0; i < doctor->count; i++) {
		const struct pd_doctor_finding *finding = doctor->findings + i;

		if (problems_only && finding->severity < PD_DOCTOR_WARNING)
			continue;
		print_severity(output, finding->severity, colour);
		pd_output_text(output, "%-20s ", finding->check);
		pd_output_lax(output, pd_slice_string(finding->text));
		pd_output_text(output, "\n");
		if (finding->fix[0] == '\0')
			continue;
		pd_output_text(output, "%-28s -> ", "");
		pd_output_lax(output, pd_slice_string(finding->fix));
		pd_output_text(output, "\n");
	}
	pd_output_text(output, "%s: %u %s, %u %s, %u %s, %u ok\n", doctor->data, dangers,
		       dangers == 1 ? "danger" : "dangers", warnings, warnings == 1 ? "warning" : "warnings",
		       count_of(doctor, PD_DOCTOR_NOTE),
		       count_of(doctor, PD_DOCTOR_NOTE) == 1 ? "note" : "notes",
		       count_of(doctor, PD_DOCTOR_OK));
}

static void print_json(struct pd_output *output, const struct pd_doctor *doctor, bool problems_only,
		       int status)
{
	pd_output_open(output, NULL, '{');
	pd_output_string_field(output, "data", doctor->data);
	pd_output_bool_field(output, "server", doctor->has_server);
	pd_output_string_field(output, "worst", severity_name(worst_of(doctor)));
	pd_output_number_field(output, "dangers", count_of(doctor, PD_DOCTOR_DANGER));
	pd_output_number_field(output, "warnings", count_of(doctor, PD_DOCTOR_WARNING));
	pd_output_open(output, "findings", '[');
	for (size_t i = 0; i < doctor->count; i++) {
		const struct pd_doctor_finding *finding = doctor->findings + i;

		if (problems_only && finding->severity < PD_DOCTOR_WARNING)
			continue;
		pd_output_open(output, NULL, '{');
		pd_output_string_field(output, "check", finding->check);
		pd_output_string_field(output, "severity", severity_name(finding->severity));
		pd_output_string_field(output, "text", finding->text);
		if (finding->fix[0] != '\0')
			pd_output_string_field(output, "fix", finding->fix);
		pd_output_close(output, '}');
	}
	pd_output_close(output, ']');
	pd_output_number_field(output, "exit_status", (uint64_t)status);
	pd_output_close(output, '}');
	pd_output_end(output);
}

static int report(const struct pd_doctor *doctor, const struct given *given)
{
	struct pd_output output = { .file = stdout };
	enum pd_doctor_severity worst = worst_of(doctor);
	int status = worst == PD_DOCTOR_DANGER ? 2 : worst == PD_DOCTOR_WARNING ? 1 : 0;

	if (given->json)
		print_json(&output, doctor, given->problems_only, status);
	else
		print_text(&output, doctor, given->problems_only);
	return pd_output_finish(&output) || status != 0 ? status : 1;
}

static int run(int argc, char **argv)
{
	struct given given = { .data = "./data" };
	struct pd_doctor *doctor;
	struct pd_error err = { 0 };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	doctor = pd_calloc(1, sizeof *doctor);
	if (doctor == NULL || pd_os_real_new(&doctor->os, &err) != 0) {
		(void)fprintf(stderr, "perdure doctor: %s\n", doctor == NULL ? "out of memory" : err.text);
		pd_free(doctor);
		return PD_EXIT_FAILURE;
	}
	doctor->data = given.data;
	doctor->budget = pd_budget_default(pd_os_machine_memory(doctor->os));
	doctor->retention_bytes = RETENTION_DEFAULT;
	pd_link_init(&doctor->link);
	pd_doctor_directory(doctor);
	if (!doctor->is_no_directory) {
		pd_doctor_server(doctor);
		pd_doctor_disk(doctor);
	}
	pd_doctor_machine(doctor);
	status = report(doctor, &given);
	pd_link_close(&doctor->link);
	pd_os_free(doctor->os);
	pd_free(doctor);
	return status;
}

const struct pd_subcommand pd_subcommand_doctor = { "doctor", "what endangers the data here, and what to do",
						    run };
