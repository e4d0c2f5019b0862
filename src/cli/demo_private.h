/* The demos: each on a scratch server. */
#ifndef PD_CLI_DEMO_PRIVATE_H
#define PD_CLI_DEMO_PRIVATE_H

int pd_cli_demo_tour(int argc, char **argv);
int pd_cli_demo_crash(int argc, char **argv);

#endif
