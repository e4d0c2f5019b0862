/* The `perdure` command: one binary, a table of subcommands. */
#ifndef PD_CLI_CLI_H
#define PD_CLI_CLI_H

/* argv[0] is the subcommand's name. Returns an exit status of enum pd_exit (server/server.h). `--help` among the
 * arguments prints its page on standard output. */
struct pd_subcommand {
	const char *name;
	const char *summary; /* one line of `perdure --help` */
	int (*run)(int argc, char **argv);
};

/* Each is defined in the file of its name and listed in main.c. */
extern const struct pd_subcommand pd_subcommand_bench, pd_subcommand_cli, pd_subcommand_config,
	pd_subcommand_log, pd_subcommand_memory, pd_subcommand_metrics, pd_subcommand_server,
	pd_subcommand_store;

#endif
