//! The configuration of a private Slurm cluster as text. Bound to loopback; nothing here touches the machine.

use std::path::Path;

use super::slurm::SlurmOptions;

/// What identifies one cluster.
pub struct Identity<'a> {
    /// Its private directory.
    pub directory: &'a Path,
    /// munge's socket.
    pub munge_socket: &'a Path,
    /// Port of the controller.
    pub controller_port: u16,
    /// Ports of the nodes: several servers on one machine need several.
    pub node_ports: Vec<u16>,
    /// The machine's name, which Slurm compares with its own idea.
    pub hostname: &'a str,
    /// Who runs the servers.
    pub user: &'a str,
}

/// Renders `slurm.conf`.
pub fn render(identity: &Identity<'_>, options: &SlurmOptions) -> String {
    let Identity { munge_socket, controller_port, node_ports, hostname, user, .. } = identity;
    let directory = identity.directory.display();
    let munge_socket = munge_socket.display();
    let SlurmOptions {
        cpus,
        memory_mib,
        min_job_age_seconds,
        message_timeout_seconds,
        kill_wait_seconds,
        ..
    } = options;
    let (max_array_size, more) = (options.max_array_size, options.more);
    let nodes: String = (1..)
        .zip(node_ports)
        .map(|(number, port)| {
            format!(
                "NodeName=node{number} NodeHostname={hostname} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} \
                 RealMemory={memory_mib} State=UNKNOWN\n"
            )
        })
        .collect();
    format!(
        "\
ClusterName=qcbatchtest
SlurmctldHost={hostname}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={munge_socket}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool-%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd-%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd-%n.log
SlurmctldDebug=verbose
SlurmdDebug=verbose
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge={min_job_age_seconds}
MessageTimeout={message_timeout_seconds}
KillWait={kill_wait_seconds}
MaxArraySize={max_array_size}
SlurmdTimeout=300
InactiveLimit=0
DefMemPerCPU=256
{nodes}PartitionName=main Nodes=ALL Default=YES MaxTime=1-00:00:00 DefaultTime=10 State=UP
PartitionName=short Nodes=ALL MaxTime=5 DefaultTime=1 State=UP
{more}"
    )
}
