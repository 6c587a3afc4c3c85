Feature: The limits

  Scenario: The last step names the limits of every method
    When the workflow is finished
    Then the job logs for the step "plotting" should contain "method"
    And the job logs for the step "plotting" should contain "trusted"

  Scenario: The report and the numbers are there
    When the workflow is finished
    Then the workspace should include "ml/plotting/report.html"
    And the workspace should include "ml/plotting/results.json"
    And the workspace should include "ml/method_0/evaluating/Results.tar.gz"
    And the file "ml/plotting/report.html" should contain "</html>"
    And the file "ml/plotting/results.json" should contain "confidence_level"

  Scenario: It did not take too long
    When the workflow is finished
    Then the workflow run duration should be less than 2880 minutes
    And the duration of the step "plotting" should be less than 480 minutes
