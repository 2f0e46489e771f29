"""What CloudWatch does and MiniStack does not: metrics of AWS's services, metric math, alarms and subscriptions."""
