package dev.bulkgen.cli;

import dev.bulkgen.backend.cuda.CudaDriver;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code bulkgen doctor}: what this machine can do, and what would give more. */
@Command(
    name = "doctor",
    description = "Says what this machine can do, and what to install or set for more.",
    mixinStandardHelpOptions = true)
public final class DoctorCommand implements Callable<Integer> {
  private static final int FAILED = 1;
  private static final int NO_CHECKS = 2;
  private static final int NO_DEVICE = 3;

  @Spec private CommandSpec spec;

  @Option(
      names = "--gpu",
      description = "Then checks every kernel and whole models on the card; takes minutes.")
  private boolean checksDevice;

  @Option(
      names = "--time-budget",
      paramLabel = "SECONDS",
      defaultValue = "1500",
      description = "With --gpu: nothing further is begun after that; default ${DEFAULT-VALUE}.")
  private double budgetSeconds;

  @Option(
      names = "--results",
      paramLabel = "FOLDER",
      defaultValue = "results",
      description = "With --gpu: gets checks.jsonl and failures.txt; default ${DEFAULT-VALUE}.")
  private Path results;

  /**
   * Prints and returns 0, whatever is missing: that is the answer, not a failure. With {@code
   * --gpu}: 1 if a check failed, 2 without checks, 3 without a device.
   */
  @Override
  public Integer call() throws IOException {
    Findings findings = new Findings();
    HostExamination.examine(findings);
    DeviceExamination.examine(findings);
    PrintWriter out = spec.commandLine().getOut();
    out.print(findings.render());
    out.flush();
    return checksDevice ? checkDevice(out) : 0;
  }

  private int checkDevice(PrintWriter out) throws IOException {
    Optional<CudaDriver.Unavailable> unavailable = CudaDriver.probe();
    if (unavailable.isPresent()) {
      out.println("nothing can be checked here: " + unavailable.get().reason());
      return NO_DEVICE;
    }
    Optional<DeviceCheck> check = ServiceLoader.load(DeviceCheck.class).findFirst();
    if (check.isEmpty()) {
      out.println(
          "the checks are not in this installation: run bin/bulkgen of a source checkout, or the"
              + " check bundle (mvn -Pgpu-check package)");
      return NO_CHECKS;
    }
    return check.get().run(results, budgetSeconds, out) ? 0 : FAILED;
  }
}
