package dev.bulkgen.cli;

import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code bulkgen doctor}: what this machine can do, and what would give more. */
@Command(
    name = "doctor",
    description = "Says what this machine can do, and what to install or set for more.",
    mixinStandardHelpOptions = true)
public final class DoctorCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  /** Prints and returns 0, whatever is missing: that is the answer, not a failure. */
  @Override
  public Integer call() {
    Findings findings = new Findings();
    HostExamination.examine(findings);
    DeviceExamination.examine(findings);
    PrintWriter out = spec.commandLine().getOut();
    out.print(findings.render());
    out.flush();
    return 0;
  }
}
