# The script of a SHELL task. DolphinScheduler writes ${bizdate}, a parameter of the task, into it before it starts.
# The instance of the workflow is the same in all tries of the task: one that has succeeded is not loaded again.
# exec: the run is the task's process, so that a kill reaches it and its exit code is the task's.
export MILLRACE_CREDENTIALS=/etc/millrace/credentials.json
exec millrace run /etc/millrace/orders.json --param day=${bizdate} --run-key ${system.workflow.instance.id}/load --progress none --quiet
